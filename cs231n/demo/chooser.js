// The strip of photographs. `element` holds the markup, `trigger` sends an event to the server.
const trouble = element.querySelector(".trouble");
const viewfinder = element.querySelector(".viewfinder");
const video = element.querySelector("video");

function press(button) {
  for (const other of element.querySelectorAll("[data-sample]")) {
    other.setAttribute("aria-pressed", String(other === button));
  }
  trouble.textContent = "";
}

function send(uri) {
  trouble.textContent = "";
  trigger("upload", { file: uri });
}

function readFile(file) {
  if (file.size > MAX_MEGABYTES * 1e6) {
    trouble.textContent = `The file is larger than ${MAX_MEGABYTES} MB; choose a smaller one.`;
    return;
  }
  const reader = new FileReader();
  reader.onload = () => {
    // A browser writes nothing after "data:" for 0 bytes; the server says what is wrong with them.
    send(reader.result.includes(";base64,") ? reader.result : "data:;base64,");
  };
  reader.onerror = () => { trouble.textContent = "The file can't be read; choose another."; };
  reader.readAsDataURL(file);
}

async function openCamera() {
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    viewfinder.hidden = false;
    element.querySelector(".take").focus();
  } catch {
    // Browsers give the camera only to pages of this computer and to encrypted ones.
    trouble.textContent = "The camera can't be opened; allow it in the browser, or choose a file.";
  }
}

function closeCamera() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  viewfinder.hidden = true;
  element.querySelector(".camera").focus();
}

function takePicture() {
  if (!video.videoWidth) return;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  send(canvas.toDataURL("image/jpeg", 0.92));
  closeCamera();
}

element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.sample !== undefined) {
    press(button);
    trigger("select", { sample: Number(button.dataset.sample) });
  } else if (button.matches(".camera")) {
    openCamera();
  } else if (button.matches(".take")) {
    takePicture();
  } else {
    closeCamera();
  }
});

element.addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) readFile(file);
  event.target.value = "";  // so that choosing the same file again is a change, too
});
