// The arithmetic of FORMAT.md on images { width, height, data }, 3 bytes a pixel. No package is needed.
const blank = (height, width, fill = [0, 0, 0]) => {
  const data = new Uint8ClampedArray(height * width * 3);
  for (let i = 0; i < data.length; i++) data[i] = fill[i % 3];
  return { width, height, data };
};

const even = (x) => { // to the nearest whole number, halves to the even one
  const low = Math.floor(x), rest = x - low;
  return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1;
};

const moved = (image, height, width, from) => {
  const made = blank(height, width);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) {
    const [row, column] = from(y, x), at = (row * image.width + column) * 3;
    for (let k = 0; k < 3; k++) made.data[(y * width + x) * 3 + k] = image.data[at + k];
  }
  return made;
};

export const flip = (image) => moved(image, image.height, image.width, (y, x) => [y, image.width - 1 - x]);
export const quarterTurn = (image) => moved(image, image.width, image.height, (y, x) => [x, image.width - 1 - y]);

export const crop = (image, [height, width]) => {
  const top = even((image.height - height) / 2), left = even((image.width - width) / 2);
  return moved(image, height, width, (y, x) => [y + top, x + left]);
};

export const limit = (image, [height, width], times) => crop(image, [
  Math.min(image.height, Math.max(1, even(image.width * (height / width) * times))),
  Math.min(image.width, Math.max(1, even((image.height / (height / width)) * times))),
]);

export const paste = (image, [height, width], top, left, fill) => {
  const made = blank(height, width, fill);
  for (let y = Math.max(0, -top); y < Math.min(image.height, height - top); y++)
    for (let x = Math.max(0, -left); x < Math.min(image.width, width - left); x++)
      for (let k = 0; k < 3; k++)
        made.data[((y + top) * width + x + left) * 3 + k] = image.data[(y * image.width + x) * 3 + k];
  return made;
};

export const pad = (image, [height, width], fill) =>
  paste(image, [height, width], Math.floor((height - image.height) / 2), Math.floor((width - image.width) / 2), fill);

export const tone = (image, table) => ({ ...image, data: image.data.map((value) => table[value]) });
export const add = (image, other) => ({ ...image, data: Uint8ClampedArray.from(image.data, (value, i) => value + other.data[i]) });
export const subtract = (image, other) => ({ ...image, data: Uint8ClampedArray.from(image.data, (value, i) => value - other.data[i]) });

export const sizeFor = ({ width, height }, { to, size: [tall, wide] }) => {
  if (to === "stretch") return [tall, wide];
  if (to === "fit") {
    const scale = Math.min(tall / height, wide / width);
    return [Math.max(1, even(height * scale)), Math.max(1, even(width * scale))];
  }
  return width * tall <= height * wide
    ? [Math.trunc((wide * height) / width), wide] : [tall, Math.trunc((tall * width) / height)];
};

const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, (x) => {
    const t = Math.abs(x) * Math.PI;
    return t === 0 ? 1 : t >= Math.PI ? 0 : (Math.sin(t) / t) * (Math.fround(0.54) + Math.fround(0.46) * Math.cos(t));
  }],
  bicubic: [2, (x) => {
    const t = Math.abs(x);
    return t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
  }],
  lanczos: [3, (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};

// For every output: the first input that it reads, and the weights in units of 2^-22.
const weights = (length, size, filter) => {
  const ratio = length / size;
  if (filter === "nearest")
    return Array.from({ length: size }, (_, i) => [Math.min(length - 1, Math.trunc((i + 0.5) * ratio)), [2 ** 22]]);
  const [support, f] = FILTERS[filter], stretch = Math.max(ratio, 1), reach = support * stretch;
  return Array.from({ length: size }, (_, i) => {
    const middle = (i + 0.5) * ratio;
    const first = Math.max(0, Math.trunc(middle - reach + 0.5)), last = Math.min(length, Math.trunc(middle + reach + 0.5));
    const row = Array.from({ length: last - first }, (_, j) => f((j + first - middle + 0.5) * (1 / stretch)));
    const total = row.reduce((sum, each) => sum + each, 0);
    return [first, row.map((each) => Math.trunc((each / total) * 2 ** 22 + (each < 0 ? -0.5 : 0.5)))];
  });
};

const across = (image, width, filter) => {
  if (width === image.width) return image;
  const made = blank(image.height, width), rows = weights(image.width, width, filter);
  for (let y = 0; y < image.height; y++) for (let x = 0; x < width; x++) for (let k = 0; k < 3; k++) {
    const [first, row] = rows[x];
    let sum = 2 ** 21;
    for (let j = 0; j < row.length; j++) sum += row[j] * image.data[(y * image.width + first + j) * 3 + k];
    made.data[(y * width + x) * 3 + k] = sum >> 22;
  }
  return made;
};

const down = (image, height, filter) => {
  if (height === image.height) return image;
  const made = blank(height, image.width), rows = weights(image.height, height, filter), stride = image.width * 3;
  for (let y = 0; y < height; y++) for (let x = 0; x < stride; x++) {
    const [first, row] = rows[y];
    let sum = 2 ** 21;
    for (let j = 0; j < row.length; j++) sum += row[j] * image.data[(first + j) * stride + x];
    made.data[y * stride + x] = sum >> 22;
  }
  return made;
};

export const resized = (image, [height, width], filter) =>
  image.height - height > Math.max(0, 2 * (image.width - width))
    ? across(down(image, height, filter), width, filter) : down(across(image, width, filter), height, filter);
