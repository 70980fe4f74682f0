package timing

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/cpu"
)

// Blocks is how many channels runtimes compute at once on this processor, and by what of it.
func Blocks() (channels int, by string) {
	switch {
	case cpu.X86.HasAVX512F:
		return 16, "AVX-512"
	case cpu.X86.HasAVX2:
		return 8, "AVX2"
	case cpu.ARM64.HasASIMD:
		return 16, "NEON"
	}
	return 16, runtime.GOARCH
}

// Processor is this machine's processor as its system names it, and the architecture alone where it does not.
func Processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	return processor(string(text))
}

// processor reads the names in the system's list of processors: "model name" on x86, "Model" of the board, or the number of the
// design, on ARM.
func processor(list string) string {
	found := map[string]string{}
	for line := range strings.Lines(list) {
		key, value, ok := strings.Cut(line, ":")
		key, value = strings.TrimSpace(key), strings.Join(strings.Fields(value), " ")
		if ok && value != "" && found[key] == "" {
			found[key] = value
		}
	}
	for _, key := range []string{"model name", "Model", "Hardware", "CPU part"} {
		if name := found[key]; name != "" && name != "unknown" {
			return name
		}
	}
	return runtime.GOARCH
}
