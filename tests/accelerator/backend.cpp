// An accelerator for tests: its memory is the CPU's, but no operation takes tensors of both, and the CPU computes for it.
// It shows on a machine without a GPU whether tensors meet on one device, as torch's PrivateUse1 backends do.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <cstring>
#include <set>

using at::Tensor;
using c10::SymInt;
using Sizes = c10::SymIntArrayRef;

constexpr auto kPretend = c10::DeviceType::PrivateUse1;

namespace {

void release(void* memory) { c10::free_cpu(memory); }

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* memory = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {memory, memory, &release, c10::Device(kPretend, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { std::memcpy(to, from, bytes); }
};

Memory memory;
REGISTER_ALLOCATOR(kPretend, &memory);

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = kPretend;
  c10::DeviceType type() const override { return static_type; }
  c10::Device exchangeDevice(c10::Device device) const override { return device; }
  c10::Device getDevice() const override { return c10::Device(static_type, 0); }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Hooks final : at::PrivateUse1HooksInterface {
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  void init() const override {}
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
};

Hooks hooks;
const bool has_hooks = (at::RegisterPrivateUse1HooksInterface(&hooks), true);
const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);

Tensor empty(Sizes size, std::optional<at::ScalarType> type, std::optional<at::Layout>, std::optional<at::Device>,
             std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(size), &memory, keys, type.value_or(at::kFloat), format);
}

Tensor empty_strided(Sizes size, Sizes stride, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                     std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), &memory,
                                           keys, type.value_or(at::kFloat));
}

// The same bytes as a tensor of the CPU.
Tensor on_cpu(const Tensor& tensor) {
  if (!tensor.is_privateuseone()) return tensor;
  const auto& storage = tensor.storage();
  const auto count = static_cast<int64_t>(storage.nbytes() / tensor.element_size());
  auto options = tensor.options().device(at::kCPU).requires_grad(false);
  return at::from_blob(storage.mutable_data(), {count}, options)
      .as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  if (to.numel()) {
    c10::impl::ExcludeDispatchKeyGuard without(c10::autograd_dispatch_keyset);
    on_cpu(to).copy_(on_cpu(from).expand_as(to));
  }
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  at::native::resize_(to, from.sizes());
  return copy_from(from, to, false);
}

Tensor as_strided(const Tensor& tensor, Sizes size, Sizes stride, std::optional<SymInt> offset) {
  const auto start = offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt;
  return at::native::as_strided_tensorimpl(tensor, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride), start);
}

Tensor view(const Tensor& tensor, Sizes size) { return at::native::view(tensor, C10_AS_INTARRAYREF_SLOW(size)); }

Tensor reshape_alias(const Tensor& tensor, Sizes size, Sizes stride) {
  return at::native::_reshape_alias(tensor, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride));
}

const Tensor& resize(const Tensor& tensor, Sizes size, std::optional<at::MemoryFormat> format) {
  return at::native::resize_(tensor, C10_AS_INTARRAYREF_SLOW(size), format);
}

Tensor& set_storage(Tensor& tensor, at::Storage storage, SymInt offset, Sizes size, Sizes stride) {
  return at::native::set_storage_cpu_(tensor, storage, offset.expect_int(), C10_AS_INTARRAYREF_SLOW(size),
                                      C10_AS_INTARRAYREF_SLOW(stride));
}

Tensor convolution(const Tensor& maps, const Tensor& weight, const std::optional<Tensor>& bias, Sizes stride,
                   Sizes padding, Sizes dilation, bool transposed, Sizes output_padding, SymInt groups) {
  TORCH_CHECK(maps.device() == weight.device(), "a convolution of ", maps.device(), " and ", weight.device());
  std::optional<Tensor> own_bias;
  if (bias && bias->defined()) own_bias = bias->cpu();
  return at::convolution(maps.cpu(), weight.cpu(), own_bias, C10_AS_INTARRAYREF_SLOW(stride),
                         C10_AS_INTARRAYREF_SLOW(padding), C10_AS_INTARRAYREF_SLOW(dilation), transposed,
                         C10_AS_INTARRAYREF_SLOW(output_padding), groups.expect_int())
      .to(maps.device());
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& gradient, const Tensor& maps, const Tensor& weight,
                                                        Sizes stride, Sizes padding, Sizes dilation, bool transposed,
                                                        Sizes output_padding, SymInt groups, std::array<bool, 3> mask) {
  const std::vector<int64_t> bias_size = {weight.size(0)};
  auto [first, second, third] = at::convolution_backward(
      gradient.cpu(), maps.cpu(), weight.cpu(), at::OptionalIntArrayRef(bias_size), C10_AS_INTARRAYREF_SLOW(stride),
      C10_AS_INTARRAYREF_SLOW(padding), C10_AS_INTARRAYREF_SLOW(dilation), transposed,
      C10_AS_INTARRAYREF_SLOW(output_padding), groups.expect_int(), mask);
  const auto back = [&](const Tensor& tensor) { return tensor.defined() ? tensor.to(gradient.device()) : tensor; };
  return {back(first), back(second), back(third)};
}

// Everything else is computed on copies; tensors of both devices are refused where CUDA refuses them.
void on_copies(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  static const std::set<std::string> mixed = {"aten::copy_", "aten::index", "aten::index_put", "aten::index_put_",
                                              "aten::_index_put_impl_"};
  const auto& name = op.schema().name();
  bool has_own = false, has_cpu = false;
  const auto see = [&](const Tensor& tensor) {
    has_own |= tensor.defined() && tensor.is_privateuseone();
    has_cpu |= tensor.defined() && tensor.is_cpu() && tensor.dim() > 0;
  };
  for (const auto& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (value.isTensor()) see(value.toTensor());
    if (value.isTensorList())
      for (const auto& tensor : value.toTensorVector()) see(tensor);
  }
  TORCH_CHECK(mixed.count(name) || !(has_own && has_cpu), name, " of tensors on the accelerator and on the CPU");
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("as_strided", &as_strided);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("resize_", &resize);
  library.impl("set_.source_Storage_storage_offset", &set_storage);
  library.impl("unfold", &at::native::unfold);
  library.impl("convolution_overrideable", &convolution);
  library.impl("convolution_backward_overrideable", &convolution_backward);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_copies>());
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) { library.fallback(torch::CppFunction::makeFallthrough()); }

}  // namespace
