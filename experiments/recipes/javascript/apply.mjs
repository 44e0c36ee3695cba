// Puts an exported prompt on an image, in Node with sharp:
//   pixprompt export prompt.png --to pair --out exported
//   node apply.mjs exported image.jpg prompted.png          the same bytes as `pixprompt apply`
//   node apply.mjs exported image.jpg prompted.png --sharp  sharp's own resize, which is faster and rounds otherwise
import fs from "node:fs";
import path from "node:path";
import sharp from "sharp";
import { add, crop, flip, limit, pad, paste, quarterTurn, resized, sizeFor, subtract, tone } from "./pixels.mjs";

const KERNELS = { nearest: "nearest", box: "linear", bilinear: "linear", hamming: "linear", bicubic: "cubic", lanczos: "lanczos3" };

async function read(file) {
  const upright = sharp(file).rotate().flatten({ background: "white" }).toColourspace("srgb");
  const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true });
  if (info.channels !== 3) throw new Error(`${file}: expected RGB`);
  return { width: info.width, height: info.height, data };
}

async function toSharp({ width, height, data }, [tall, wide], filter) {
  const image = sharp(Buffer.from(data), { raw: { width, height, channels: 3 } });
  const made = await image.resize(wide, tall, { fit: "fill", kernel: KERNELS[filter] }).raw().toBuffer();
  return { width: wide, height: tall, data: made };
}

export async function canvas(steps, image, resize) {
  for (const step of steps) {
    switch (step.step) {
      case "flip": image = flip(image); break;
      case "turn": for (let n = 0; n < step.quarters; n++) image = quarterTurn(image); break;
      case "limit aspect": image = limit(image, step.size, step.times); break;
      case "resize": image = await resize(image, sizeFor(image, step), step.filter); break;
      case "crop": image = crop(image, step.size); break;
      case "tone": image = tone(image, step.table); break;
      case "pad": image = pad(image, step.size, step.fill); break;
      case "paste": image = paste(image, step.size, step.top, step.left, step.fill); break;
      default: throw new Error(`${step.step} is not part of this recipe; see FORMAT.md`);
    }
  }
  return image;
}

const [folder, source, target, own] = process.argv.slice(2);
const { steps } = JSON.parse(fs.readFileSync(path.join(folder, "canvas.json"), "utf8"));
const [first, second] = await Promise.all(["add.png", "subtract.png"].map((name) => read(path.join(folder, name))));
const made = await canvas(steps, await read(source), own === "--sharp" ? toSharp : resized);
const { width, height, data } = subtract(add(made, first), second);
await sharp(Buffer.from(data), { raw: { width, height, channels: 3 } }).png().toFile(target);
