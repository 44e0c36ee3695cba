// What the page does by itself: lets the browser in, takes what is dropped, follows a run, copies command lines.

const entrance = document.querySelector("[data-entrance]")
if (entrance) enter(location.hash.slice(1))
document.querySelectorAll("[data-try], [data-prompt]").forEach(takeFiles)
document.querySelectorAll("[data-follow]").forEach(follow)
document.addEventListener("click", event => {
  const button = event.target.closest("[data-copy]")
  if (button) copy(button)
})

async function enter(token) {
  if (!token) return
  const answer = await fetch("/session", { method: "POST", body: JSON.stringify({ token }) })
  if (answer.ok) location.replace(location.pathname + location.search)
  else entrance.querySelector("[role=status]").textContent = (await answer.json()).error
}

async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy)
  button.textContent = "Copied"
  setTimeout(() => { button.textContent = "Copy" }, 1500)
}

// Files that are dropped on a place, chosen or pasted are posted; what comes back is shown below it.
function takeFiles(place) {
  const drop = place.querySelector(".drop"), input = drop.querySelector("input")
  const outcome = place.querySelector(".outcome"), target = place.dataset.try ?? place.dataset.prompt
  drop.addEventListener("dragover", event => { event.preventDefault(); drop.classList.add("over") })
  drop.addEventListener("dragleave", () => drop.classList.remove("over"))
  drop.addEventListener("drop", event => {
    event.preventDefault()
    drop.classList.remove("over")
    take(event.dataTransfer.files)
  })
  input.addEventListener("change", () => { take(input.files); input.value = "" })
  if (place.dataset.try) document.addEventListener("paste", event => take(event.clipboardData.files))

  async function take(files) {
    if (!files.length || drop.getAttribute("aria-busy") === "true") return
    drop.setAttribute("aria-busy", "true")
    say("Working; a model that is not loaded yet takes some seconds.", "remark")
    try {
      const url = target + (target.includes("?") ? "&" : "?") + new URLSearchParams({ file: files[0].name })
      const answer = await fetch(url, { method: "POST", body: files[0] })
      if (answer.ok) {
        outcome.innerHTML = await answer.text() // escaped by the server; the page's policy lets no script in it run
        outcome.querySelectorAll("[data-try]").forEach(takeFiles)
      } else say((await answer.json()).error)
    } catch (error) {
      say(`pixprompt ui does not answer (${error.message}). Does it still run?`)
    }
    drop.removeAttribute("aria-busy")
  }

  function say(text, look = "absent") {
    const line = document.createElement("p")
    line.className = look
    line.textContent = text
    outcome.replaceChildren(line)
  }
}

function follow(section) {
  const lines = [], stream = new EventSource(section.dataset.follow)
  const bar = section.querySelector("progress"), text = section.querySelector("[role=status]")
  stream.addEventListener("message", event => {
    const news = JSON.parse(event.data)
    if (news.restarted) lines.length = 0
    lines.push(...news.lines)
    text.textContent = news.text
    section.querySelector("[data-time]").textContent = `last change seen at ${news.time}`
    if (news.share === null) bar.removeAttribute("value")
    else bar.value = news.share
    section.querySelectorAll("[data-plot]").forEach(plot => draw(plot, lines))
    if (news.state === "finished") { stream.close(); location.reload() }
  })
}

// Lines of training and validation over epochs, or over queries.
function draw(svg, lines) {
  const [left, right, top, bottom] = [48, 468, 10, 226], name = svg.dataset.plot
  const unit = lines.some(line => "epoch" in line) ? "epoch" : "queries"
  const place = line => line[unit] ?? line.images ?? 0
  const curves = ["train", "val"].map(split => [split, lines.filter(line => `${split}_${name}` in line)
    .map(line => [place(line), line[`${split}_${name}`]])]).filter(([, points]) => points.length)
  const all = curves.flatMap(([, points]) => points)
  if (!all.length) return svg.replaceChildren(label(258, 130, "nothing yet", "middle"))
  const high = name === "accuracy" ? 1 : round(Math.max(...all.map(([, y]) => y), 1e-6))
  const first = Math.min(...all.map(([x]) => x)), last = Math.max(...all.map(([x]) => x))
  const x = value => left + (right - left) * (value - first) / (last - first || 1)
  const y = value => bottom - (bottom - top) * value / high
  const parts = []
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const value = share * high, at = y(value)
    parts.push(shape("line", { x1: left, x2: right, y1: at, y2: at, class: "grid" }))
    const words = name === "accuracy" ? `${Math.round(100 * value)}%` : +value.toPrecision(3)
    parts.push(label(left - 8, at + 4, words, "end"))
  }
  parts.push(label(left, bottom + 20, first, "start"), label(right, bottom + 20, `${unit} ${last}`, "end"))
  for (const [split, points] of curves) {
    const path = points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" ")
    parts.push(shape("polyline", { points: path, class: split }))
    const [a, b] = points.at(-1)
    parts.push(shape("circle", { cx: x(a), cy: y(b), r: 3.5, class: split }))
  }
  svg.replaceChildren(...parts)
  svg.setAttribute("aria-label", `${name} over ${unit}: ` +
    curves.map(([split, points]) => `${split} ${points.at(-1)[1].toPrecision(3)}`).join(", "))
}

// The next number that has four round quarters.
function round(value) {
  const unit = 10 ** Math.floor(Math.log10(value))
  return unit * [1, 2, 4, 6, 8, 10].find(times => value <= times * unit)
}

function shape(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  return node
}

function label(x, y, words, anchor) {
  const node = shape("text", { x, y, "text-anchor": anchor })
  node.textContent = words
  return node
}
