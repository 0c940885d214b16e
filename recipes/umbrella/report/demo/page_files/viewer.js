// MODULE (the path of the widget) and EMPTY (what stands there without a scan) are constants that come before this.
// Shows props.value, {url, name, n_frames, ...} of umbrella.report.demo.viewer.show_scan, with the NiiVue that the
// installed package ipyniivue brings along. Its widget talks to a "model" as anywidget defines it (get, set, on, off,
// send, save_changes); here that is an object of this page instead of one in a notebook. The widget's module holds one
// viewer, so each viewer imports it under an address of its own.
const part = name => element.querySelector(`[data-part="${name}"]`);
const models = {};
const toAddress = path => new URL("gradio_api/file=" + path.split("/").map(encodeURIComponent).join("/"), document.baseURI);
const GRID = 2, ROW = 3, ROW_FROM = 1000;  // layouts of NiiVue's, and the width in pixels from which planes stand in a row
const asNumber = value => Number(value.toPrecision(4)).toLocaleString("en", {maximumFractionDigits: 4});

function makeModel(state, hear) {
  const listeners = {};
  const model = {
    get: key => state[key],
    set: (key, value) => { state[key] = value; },
    on: (event, listener) => { (listeners[event] ??= []).push(listener); },
    off: (event, listener) => { listeners[event] = (listeners[event] ?? []).filter(one => listener && one !== listener); },
    save_changes: () => {},
    send: message => hear?.(message),
    send_sync_message: () => {},  // voxels stay in the page
    _comm_live: false,
    widget_manager: {get_model: async id => models[id]},
    fire: (event, ...details) => (listeners[event] ?? []).forEach(listener => listener(...details)),
    change: (key, value) => { state[key] = value; model.fire("change:" + key); },
  };
  return model;
}

function makeVolume(shown, buffer, number) {
  const id = `volume-${turn}-${number}`;
  models[id] = makeModel({
    id, name: `${id}.nii`, path: {}, url: "", data: new DataView(buffer), paired_img_path: {}, paired_img_url: "",
    colormap: shown.colormap ?? "gray", colormap_negative: shown.colormap_negative ?? "", opacity: shown.opacity ?? 1,
    cal_min: shown.low, cal_max: shown.high, cal_min_neg: NaN, cal_max_neg: NaN, frame_4d: 0, colormap_type: 0,
    colormap_invert: false, colorbar_visible: number > 0, modulation_image: null, modulate_alpha: 0,
  });
  return id;
}

let turn = 0, loading = Promise.resolve(), viewer, drawn, volumes = [], waiting = new Set(), allLoaded = () => {};

function hear({event, data}) {
  if (event === "location_change") showPlace(data);
  if (event === "image_loaded" && waiting.delete(data.id) && !waiting.size) allLoaded();
}

function setState(state, message = "") {
  part("viewer").dataset.state = state;
  part("message").textContent = message;
  part("controls").hidden = state !== "ready";
}

async function start() {
  if (!document.createElement("canvas").getContext("webgl2"))
    throw new Error("This browser does not draw 3-D scans: it has no WebGL2. The model can be asked all the same.");
  const {default: widget} = await import(`${toAddress(MODULE)}?viewer=${encodeURIComponent(element.id || Math.random())}`);
  viewer = makeModel({
    volumes: [], meshes: [], draw_opacity: 0, draw_fill_overwrites: true, background_masks_overlays: 0,
    overlay_outline_width: 0, overlay_alpha_shader: 1,
    opts: {
      sliceType: 3, multiplanarShowRender: 0, multiplanarLayout: GRID, multiplanarEqualSize: false, tileMargin: 4, logLevel: "error",
      isRadiologicalConvention: false, isOrientationTextVisible: true, showAllOrientationMarkers: true, colorbarHeight: 0.03,
      crosshairColor: [0.3, 0.75, 1, 0.8], crosshairWidth: 0.5, crosshairWidthUnit: "percent", fontColor: [0.95, 0.95, 0.95, 1],
      dragMode: 2, dragAndDropEnabled: false, scrollRequiresFocus: true, loadingText: "", viewModeHotKey: "",
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
    },
  }, hear);
  await widget.initialize({model: viewer});
  await widget.render({model: viewer, el: part("stage")});
  const canvas = part("stage").querySelector("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  new ResizeObserver(arrange).observe(part("stage"));
  canvas.addEventListener("webglcontextlost", () => setState("failed", "The browser has no memory left for this scan. Close other tabs and open it again."));
}

function arrange() {
  const isRow = part("stage").clientWidth >= ROW_FROM, layout = isRow ? ROW : GRID;
  part("viewer").classList.toggle("in-a-row", isRow);
  if (viewer.get("opts").multiplanarLayout !== layout) setOptions({multiplanarLayout: layout});
  say("resize_listener");
}

function setOptions(changed) {
  viewer.change("opts", {...viewer.get("opts"), ...changed});
}

async function fetchScan(path) {
  const answer = await fetch(toAddress(path));
  if (!answer.ok) throw new Error("This scan is no longer there. Open it again.");
  return answer.arrayBuffer();
}

const settle = () => new Promise(done => setTimeout(done));
const say = (type, data = []) => viewer.fire("msg:custom", {type, data}, []);

function showPlace({mm, vox, values}) {
  const letters = [["L", "R"], ["P", "A"], ["I", "S"]];
  const where = drawn.sides_known
    ? letters.map(([low, high], axis) => `${mm[axis] < 0 ? low : high} ${Math.abs(mm[axis]).toFixed(1)}`).join("  ") + " mm"
    : `voxel ${vox.slice(0, 3).join(", ")}`;
  const lines = values.map((one, number) => `${number ? drawn.overlays[number - 1].name : "Value"} ${asNumber(one.value)}`);
  part("place").textContent = [where, ...lines].join("\n");
  Object.assign(part("viewer").dataset, {value: values[0].value, voxel: vox.slice(0, 3).join(" ")});
}

function showFrame(frame) {
  part("time").value = frame;
  part("time-text").textContent = `${Number(frame) + 1} of ${drawn.n_frames}`;
  models[volumes[0]].change("frame_4d", Number(frame));
  say("move_crosshair_in_vox", [0, 0, 0]);  // tells the value anew
  part("viewer").dataset.frame = frame;
}

function showWindow(low, high) {
  part("low").value = low;
  part("high").value = high;
  part("low-text").textContent = asNumber(low);
  part("high-text").textContent = asNumber(high);
  models[volumes[0]].set("cal_min", low);
  models[volumes[0]].fire("change:cal_min");
  models[volumes[0]].change("cal_max", high);
}

function moveWindow(moved) {
  const step = (drawn.most - drawn.least) / 500;
  let low = Number(part("low").value), high = Number(part("high").value);
  if (moved === "low") high = Math.max(high, low + step);
  else low = Math.min(low, high - step);
  showWindow(low, high);
}

function addOverlayRow(overlay, number) {
  const row = document.createElement("label"), name = document.createElement("span");
  const slider = document.createElement("input"), text = document.createElement("output");
  row.className = "overlay";
  name.textContent = overlay.name;
  Object.assign(slider, {type: "range", min: 0, max: 1, step: 0.05, value: overlay.opacity});
  slider.dataset.part = `opacity-${number}`;
  slider.setAttribute("aria-label", `Opacity of ${overlay.name}`);
  const tell = () => { text.textContent = `${Math.round(slider.value * 100)} %`; };
  slider.addEventListener("input", () => { tell(); models[volumes[number]].change("opacity", Number(slider.value)); });
  tell();
  row.append(name, slider, text);
  part("overlays").append(row);
}

function reset() {
  viewer.change("scene", {crosshairPos: drawn.start, pan2Dxyzmm: [0, 0, 0, 1]});
  showWindow(drawn.low, drawn.high);
  showFrame(Math.min(part("time").value, drawn.n_frames - 1));
}

async function load(value, buffers) {
  viewer.change("volumes", []);
  await settle();
  volumes.forEach(id => delete models[id]);
  drawn = value;
  volumes = [value, ...value.overlays].map((shown, number) => makeVolume(shown, buffers[number], number));
  waiting = new Set(volumes);
  const loaded = new Promise(done => { allLoaded = done; });
  setOptions({isOrientationTextVisible: value.sides_known, isColorbar: value.overlays.length > 0});
  viewer.change("volumes", volumes.map(id => "IPY_MODEL_" + id));
  await loaded;
  await settle();
  volumes.forEach(id => models[id].set("data", null));  // NiiVue has its own copy
  Object.assign(part("low"), {min: value.least, max: value.most});
  Object.assign(part("high"), {min: value.least, max: value.most});
  part("time").max = value.n_frames - 1;
  part("time").value = Math.floor(value.n_frames / 2);
  part("time-row").hidden = value.n_frames < 2;
  part("overlays").replaceChildren();
  value.overlays.forEach((overlay, number) => addOverlayRow(overlay, number + 1));
  part("stage").querySelector("canvas").setAttribute("aria-label", `${value.name}: three planes`);
  setState("ready");
  arrange();
  reset();
}

async function show(value) {
  const mine = ++turn;
  part("name").textContent = value?.name ?? "";
  part("place").textContent = "";
  part("note").textContent = value?.note ?? "";
  part("note").hidden = !value?.note;
  if (!value) return setState("empty", EMPTY);
  setState("loading", "Loading …");
  try {
    const buffers = await Promise.all([value, ...value.overlays].map(shown => fetchScan(shown.url)));
    loading = loading.catch(() => {}).then(async () => {
      if (!viewer) await start();
      if (mine === turn) await load(value, buffers);
    });
    await loading;
  } catch (error) {
    if (mine === turn) setState("failed", error.message);
  }
}

part("time").addEventListener("input", event => showFrame(event.target.value));
part("low").addEventListener("input", () => moveWindow("low"));
part("high").addEventListener("input", () => moveWindow("high"));
part("reset").addEventListener("click", reset);
watch("value", () => show(props.value));
show(props.value);
