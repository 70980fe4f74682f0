package provision

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

const setupCommand = "onnx-compress setup"

// Mend returns the exact command that provides a library on this machine. Where no package
// client is installed the command installs one first, with the system's own means.
func Mend(lib Library) string {
	return mend(lib, runtime.GOOS, runtime.GOARCH, func(program string) bool {
		_, err := exec.LookPath(program)
		return err == nil
	})
}

func mend(lib Library, goos, goarch string, has func(program string) bool) string {
	if len(pinsFor(lib, goos, goarch)) == 0 {
		if goos == "darwin" && has("brew") {
			return "brew install " + strings.ToLower(strings.ReplaceAll(lib.String(), " ", ""))
		}
		return fmt.Sprintf("export %s=FILE, a build of %s for %s/%s", lib.Env(), lib, goos, goarch)
	}
	if has("pip3") || has("pip") || lib == ONNXRuntime && has("npm") {
		return setupCommand
	}
	for _, i := range []struct{ program, install string }{
		{"apt-get", "apt-get install -y python3-pip"},
		{"dnf", "dnf install -y python3-pip"},
		{"zypper", "zypper install -y python3-pip"},
		{"pacman", "pacman -S --noconfirm python-pip"},
		{"brew", "brew install python"},
		{"winget", "winget install Python.Python.3.13"},
	} {
		if has(i.program) {
			return i.install + " && " + setupCommand
		}
	}
	return "install Python with pip, then: " + setupCommand
}
