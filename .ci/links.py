"""Whether each relative link of the documents leads to a file."""
import pathlib
import re
import subprocess
import sys

files = subprocess.run(["git", "ls-files", "*.md"], check=True, text=True,
                       capture_output=True).stdout.split()
broken = []
for name in files:
    document = pathlib.Path(name)
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        path = target.partition("#")[0]
        if path and not re.match(r"[a-z]+:", path):
            if not (document.parent / path).exists():
                broken.append(f"{document}: {target}")
print("\n".join(broken), file=sys.stderr)
sys.exit(bool(broken))
