# Setup: run this cell first. It finds the kit from any folder, and fetches the network and the sample
# photographs if they are not there yet. On Colab, bring the kit's folder first: upload or clone it into
# /content, or mount the Drive it lies in.
import os
import subprocess
import sys
from pathlib import Path

here = Path.cwd()
nearby = [here, *here.parents, *here.glob("*/"), *here.glob("drive/MyDrive/*/")]
kit = next((folder for folder in nearby if os.path.isfile(folder / "cs231n" / "gradients.py")), None)
if kit is not None:
    sys.path.insert(0, str(kit))
    if "google.colab" in sys.modules:
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--editable", str(kit)], check=True
        )
try:
    import cs231n.quiet_tensorflow  # TensorFlow without its notes about processors and GPUs
    from cs231n.data_utils import download_imagenet_val, load_imagenet_val
    from cs231n.paths import checkpoint_prefix
    from cs231n.weights import download
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"There is no module {error.name}; put this notebook into the kit's folder, or run `make notebook`."
    ) from error

if not checkpoint_prefix().with_name("squeezenet.ckpt.index").is_file():
    download()
try:
    load_imagenet_val(num=1)
except FileNotFoundError:
    download_imagenet_val()
