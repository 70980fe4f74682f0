package provision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestRuntime is the first ONNX Runtime release with C API version 24.
const oldestRuntime = "1.24"

// pythonTimeout bounds one question to a Python interpreter.
const pythonTimeout = 5 * time.Second

// machine is what find asks about its surroundings; tests replace it.
type machine struct {
	goos, goarch string
	getenv       func(string) string
	cache        func() (string, error)
	pythonPaths  func() (paths []string, tried []Tried)
	systemPaths  []string
}

func host() machine {
	m := machine{goos: runtime.GOOS, goarch: runtime.GOARCH, getenv: os.Getenv, cache: CacheDir}
	m.pythonPaths = func() ([]string, []Tried) { return pythonPaths(m.goos, m.getenv) }
	m.systemPaths = systemPaths(m.goos, m.goarch, m.getenv)
	return m
}

// CacheDir returns the folder that Setup fills and Find looks in: the one that
// ONNX_COMPRESS_CACHE names, else onnx-compress in the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv(EnvCache); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set %s to a folder", err, EnvCache)
	}
	return filepath.Join(dir, "onnx-compress"), nil
}

func (m machine) find(lib Library, flag string) (Found, []Tried, error) {
	var tried []Tried
	for _, e := range []struct {
		source      Source
		name, value string
	}{{FromFlag, lib.Flag(), flag}, {FromEnv, lib.Env(), m.getenv(lib.Env())}} {
		switch {
		case e.value != "":
			found, err := m.named(lib, e.source, e.value)
			if err != nil {
				return Found{}, tried, fmt.Errorf("%s %s: %w", e.name, e.value, err)
			}
			return found, tried, nil
		case e.name != "":
			tried = append(tried, Tried{e.source, e.name, "not set"})
		}
	}
	for _, look := range []func(Library) (Found, []Tried){m.inCache, m.inPython, m.inSystem} {
		found, missed := look(lib)
		tried = append(tried, missed...)
		if found.Path != "" {
			return found, tried, nil
		}
	}
	return Found{}, tried, &NotFoundError{Library: lib, Tried: tried}
}

// named resolves a file or folder that the user named.
func (m machine) named(lib Library, source Source, name string) (Found, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return Found{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Found{}, fmt.Errorf("no such %s library: %w", lib, err)
	}
	if !info.IsDir() {
		return Found{path, source, fileVersion(path)}, nil
	}
	if hits := m.libraries(lib, path); len(hits) > 0 {
		return Found{hits[0], source, fileVersion(hits[0])}, nil
	}
	return Found{}, fmt.Errorf("the folder holds no %s library (wanted one of %s)",
		lib, strings.Join(m.fileNames(lib), ", "))
}

func (m machine) inCache(lib Library) (Found, []Tried) {
	cache, err := m.cache()
	if err != nil {
		return Found{}, []Tried{{FromCache, EnvCache, err.Error()}}
	}
	pins := pinsFor(lib, m.goos, m.goarch)
	if len(pins) == 0 {
		return Found{}, []Tried{{FromCache, cache, fmt.Sprintf("%s is not packaged for %s/%s", lib, m.goos, m.goarch)}}
	}
	var tried []Tried
	for _, p := range pins {
		path := p.cached(cache)
		if isFile(path) {
			return Found{path, FromCache, p.version}, tried
		}
		tried = append(tried, Tried{FromCache, path, "no such file"})
	}
	return Found{}, tried
}

// pythonFolders are where Python packages keep a library, below a folder of sys.path,
// and the package whose version is the library's own ("" where it is not).
func pythonFolders(lib Library) []struct{ folder, versionOf string } {
	if lib == OpenBLAS {
		return []struct{ folder, versionOf string }{
			{"scipy_openblas32/lib", "scipy_openblas32"}, {"scipy.libs", ""}, {"scipy/.dylibs", ""},
		}
	}
	return []struct{ folder, versionOf string }{{"onnxruntime/capi", "onnxruntime"}}
}

func (m machine) inPython(lib Library) (Found, []Tried) {
	paths, tried := m.pythonPaths()
	for _, path := range paths {
		for _, place := range pythonFolders(lib) {
			found, missed := m.inFolder(lib, FromPython, filepath.Join(path, filepath.FromSlash(place.folder)))
			tried = append(tried, missed...)
			if found.Path == "" {
				continue
			}
			if found.Version == "" && place.versionOf != "" {
				found.Version = packageVersion(path, place.versionOf)
			}
			if why := tooOld(lib, found.Version); why != "" {
				tried = append(tried, Tried{FromPython, found.Path, why})
				continue
			}
			return found, tried
		}
	}
	if len(paths) > 0 {
		tried = append(tried, Tried{FromPython, strings.Join(paths, ", "), "holds no " + lib.String()})
	}
	return Found{}, tried
}

func (m machine) inSystem(lib Library) (Found, []Tried) {
	var tried []Tried
	for _, dir := range m.systemPaths {
		found, missed := m.inFolder(lib, FromSystem, dir)
		tried = append(tried, missed...)
		if found.Path != "" {
			return found, tried
		}
	}
	where := strings.Join(m.systemPaths, ", ")
	return Found{}, append(tried, Tried{FromSystem, where, "holds no " + lib.String()})
}

// inFolder returns the first usable library of a folder, and those that are too old.
func (m machine) inFolder(lib Library, source Source, dir string) (Found, []Tried) {
	var tried []Tried
	for _, path := range m.libraries(lib, dir) {
		version := fileVersion(path)
		why := tooOld(lib, version)
		if why == "" {
			return Found{path, source, version}, tried
		}
		tried = append(tried, Tried{source, path, why})
	}
	return Found{}, tried
}

// libraries returns the files of a folder that may be a library, the best name first.
func (m machine) libraries(lib Library, dir string) []string {
	var out []string
	for _, pattern := range m.fileNames(lib) {
		out = append(out, files(filepath.Join(dir, pattern))...)
	}
	return out
}

// fileNames lists the patterns that a library's file name may match, the best first.
func (m machine) fileNames(lib Library) []string {
	switch {
	case lib == ONNXRuntime && m.goos == "windows":
		return []string{"onnxruntime.dll"}
	case lib == ONNXRuntime && m.goos == "darwin":
		return []string{"libonnxruntime.dylib", "libonnxruntime.*.dylib"}
	case lib == ONNXRuntime:
		return []string{"libonnxruntime.so", "libonnxruntime.so.*"}
	case m.goos == "windows":
		return []string{"libscipy_openblas.dll", "libscipy_openblas-*.dll", "scipy_openblas.dll", "libopenblas.dll", "openblas.dll"}
	case m.goos == "darwin":
		return []string{"libscipy_openblas.dylib", "libopenblas.dylib", "libopenblas.0.dylib"}
	}
	return []string{"libscipy_openblas.so", "libscipy_openblas-*.so", "libopenblas.so", "libopenblas.so.0"}
}

// files returns the regular files (links followed) that match a pattern, in name order.
func files(pattern string) []string {
	matches, err := filepath.Glob(pattern)
	if err != nil { // a folder name that is not a valid pattern holds nothing of ours
		return nil
	}
	return slices.DeleteFunc(matches, func(path string) bool { return !isFile(path) })
}

// isFile tells whether there is a regular file, links followed.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// fileVersion reads a version from a file's name or, for a link, its target's.
func fileVersion(path string) string {
	pattern := regexp.MustCompile(`\.(\d+(?:\.\d+)+)(?:\.dylib)?$`)
	names := []string{path}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		names = append(names, target)
	}
	for _, name := range names {
		if hit := pattern.FindStringSubmatch(filepath.Base(name)); hit != nil {
			return hit[1]
		}
	}
	return ""
}

// packageVersion reads a Python package's version from the name of its metadata folder.
func packageVersion(sitePackages, name string) string {
	matches, err := filepath.Glob(filepath.Join(sitePackages, name+"-*.dist-info"))
	if err != nil || len(matches) == 0 {
		return ""
	}
	base := strings.TrimSuffix(filepath.Base(matches[0]), ".dist-info")
	return strings.TrimPrefix(base, name+"-")
}

func tooOld(lib Library, version string) string {
	if lib == ONNXRuntime && version != "" && older(version, oldestRuntime) {
		return fmt.Sprintf("version %s is older than %s", version, oldestRuntime)
	}
	return ""
}

// older compares dotted versions number by number; a part that is not a number counts as 0,
// and parts that only one version has are not compared: 1 is not older than 1.24.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, _ := strconv.Atoi(as[i])
		y, _ := strconv.Atoi(bs[i])
		if x != y {
			return x < y
		}
	}
	return false
}

// pythonPaths asks the interpreters beside the program, of the active virtual environment and
// on PATH, in this order, for their module folders. It runs `import sys` alone, so no file of the current folder is executed.
func pythonPaths(goos string, getenv func(string) string) ([]string, []Tried) {
	interpreters := besideUs(os.Executable)
	if venv := getenv("VIRTUAL_ENV"); venv != "" {
		interpreters = append(interpreters, venvPython(goos, venv))
	}
	var paths []string
	var tried []Tried
	for _, name := range []string{"python3", "python"} {
		path, err := exec.LookPath(name)
		if err != nil {
			tried = append(tried, Tried{FromPython, name, "not on PATH"})
			continue
		}
		interpreters = append(interpreters, path)
	}
	for _, interpreter := range interpreters {
		folders, err := askPython(interpreter)
		if err != nil {
			tried = append(tried, Tried{FromPython, interpreter, err.Error()})
		}
		for _, folder := range folders {
			if !slices.Contains(paths, folder) {
				paths = append(paths, folder)
			}
		}
	}
	return paths, tried
}

// besideUs finds the interpreter in the folder of the running program: that of the
// environment which a wheel was installed into, whether it is active or not.
func besideUs(executable func() (string, error)) []string {
	self, err := executable()
	if err != nil {
		return nil
	}
	for _, name := range []string{"python", "python.exe"} {
		path := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return []string{path}
		}
	}
	return nil
}

func venvPython(goos, venv string) string {
	if goos == "windows" {
		return filepath.Join(venv, "Scripts", "python.exe")
	}
	return filepath.Join(venv, "bin", "python")
}

func askPython(interpreter string) ([]string, error) {
	const question = `import sys; sys.stdout.buffer.write("\n".join(sys.path).encode("utf-8", "surrogateescape"))`
	ctx, cancel := context.WithTimeout(context.Background(), pythonTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, interpreter, "-c", question)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("gave no answer within %v", pythonTimeout)
		}
		var missing *fs.PathError
		if errors.As(err, &missing) {
			return nil, missing.Err
		}
		return nil, err
	}
	var folders []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\r\n")
		if info, err := os.Stat(line); err == nil && info.IsDir() && filepath.IsAbs(line) {
			folders = append(folders, line)
		}
	}
	return folders, nil
}

// systemPaths lists the folders where the system's own libraries lie. On Windows the
// system folders are left out: the onnxruntime.dll there is an old one of Windows' own.
func systemPaths(goos, goarch string, getenv func(string) string) []string {
	var paths []string
	list := func(name string) {
		for _, dir := range filepath.SplitList(getenv(name)) {
			if filepath.IsAbs(dir) {
				paths = append(paths, filepath.Clean(dir))
			}
		}
	}
	conda := func(below ...string) {
		if prefix := getenv("CONDA_PREFIX"); prefix != "" {
			paths = append(paths, filepath.Join(append([]string{prefix}, below...)...))
		}
	}
	switch goos {
	case "windows":
		conda("Library", "bin")
		list("PATH")
		root := strings.ToLower(filepath.Clean(getenv("SystemRoot")))
		return slices.DeleteFunc(paths, func(dir string) bool { return root != "." && strings.HasPrefix(strings.ToLower(dir), root) })
	case "darwin":
		list("DYLD_LIBRARY_PATH")
		conda("lib")
		return append(paths, "/opt/homebrew/lib", "/opt/homebrew/opt/openblas/lib",
			"/usr/local/lib", "/usr/local/opt/openblas/lib", "/opt/local/lib")
	}
	list("LD_LIBRARY_PATH")
	conda("lib")
	paths = append(paths, "/usr/local/lib")
	if triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[goarch]; triplet != "" {
		paths = append(paths, "/usr/lib/"+triplet, "/usr/lib/"+triplet+"/openblas-pthread")
	}
	return append(paths, "/usr/lib64", "/usr/lib")
}
