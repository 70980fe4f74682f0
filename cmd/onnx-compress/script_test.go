package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/onnx-compress/onnx-compress/internal/provenance"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/onnxio"
)

// tests are run as those of other packages, unlike the programs that they start.
type tests struct{ *testing.M }

func (t tests) Run() int { return provisiontest.Main(t.M) }

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){
		"onnx-compress":             func() { os.Exit(begin(os.Args[1:])) },
		"onnx-compress-interrupted": func() { os.Exit(interruptedRun(os.Args[1], os.Args[2:])) },
	})
}

// TestScripts runs the program as people do, in folders of their own.
func TestScripts(t *testing.T) {
	runtime := provisiontest.Need(t, provision.ONNXRuntime)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Values[theTest{}] = e.T()
			// The scripts have a home of their own, where nothing was set up.
			e.Setenv(provision.ONNXRuntime.Env(), runtime)
			if blas, _, err := provision.Find(provision.OpenBLAS, ""); err == nil {
				e.Setenv(provision.OpenBLAS.Env(), blas.Path)
			}
			e.Setenv(provision.EnvCache, filepath.Join(e.WorkDir, "cache"))
			program, err := exec.LookPath("onnx-compress")
			if err != nil {
				return err
			}
			e.Setenv("BIN", filepath.Dir(program))
			root, err := provisiontest.Root()
			if err != nil {
				return err
			}
			e.Setenv("MODULES", filepath.Join(root, "python"))
			if python, err := provisiontest.FindPython(); err == nil {
				e.Setenv("PYTHON", python)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": cmdExits, "stages": cmdStages, "interrupt": cmdInterrupt, "model": cmdModel, "language": cmdLanguage, "broken": cmdBroken, "fashion": cmdFashion,
			"records": cmdRecords, "arrays": cmdArrays, "images": cmdImages, "testsets": cmdTestSets, "truncate": cmdTruncate, "spoil": cmdSpoil,
			"equal": cmdEqual, "same": cmdSame, "pictureless": cmdPictureless, "checker": cmdChecker, "clean": cmdClean, "accuracy": cmdAccuracy,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "bare":
				return bare()
			case "python": // with what the wheel's package needs
				_, err := provisiontest.FindPython("numpy")
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// theTest is the key of a script's own test among its values.
type theTest struct{}

// bare says whether the system's own folders hold no ONNX Runtime, which a
// script could not hide from the program.
func bare() (bool, error) {
	for _, folder := range []string{"/lib", "/lib/*", "/usr/lib", "/usr/lib/*", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"} {
		found, err := filepath.Glob(filepath.Join(folder, "libonnxruntime*"))
		if err != nil || len(found) > 0 {
			return false, err
		}
	}
	return true, nil
}

// cmdExits runs the program and wants an exit code: exits CODE ARG...
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	err := ts.Exec("onnx-compress", args[1:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := numbers(ts, args[:1])[0]; code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// cmdEqual holds two models against each other as messages, but for the records of what
// they were made from: equal A B.
func cmdEqual(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: equal A B")
	}
	a, err := onnxio.Read(ts.MkAbs(args[0]))
	ts.Check(err)
	defer a.Close()
	b, err := onnxio.Read(ts.MkAbs(args[1]))
	ts.Check(err)
	defer b.Close()
	plainA, plainB := onnxio.WithMetadata(a, provenance.Prefix, nil), onnxio.WithMetadata(b, provenance.Prefix, nil)
	defer plainA.Close()
	defer plainB.Close()
	if same, first := onnxio.Equal(plainA, plainB); same == neg {
		ts.Fatalf("equal is %v: %s", same, first)
	}
}

// cmdSame holds two files against each other byte for byte: same A B.
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same A B")
	}
	a, b := sha256.Sum256([]byte(ts.ReadFile(args[0]))), sha256.Sum256([]byte(ts.ReadFile(args[1])))
	if (a == b) == neg {
		ts.Fatalf("same bytes is %v", a == b)
	}
}

// cmdTruncate cuts a file to a share of its bytes: truncate FILE PERCENT.
func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncate FILE PERCENT")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), info.Size()*int64(numbers(ts, args[1:])[0])/100))
}

// cmdSpoil turns one bit of the weights that lie inside of a model's file: spoil MODEL.
func cmdSpoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: spoil MODEL")
	}
	data := []byte(ts.ReadFile(args[0]))
	m, err := onnxio.Parse(data, "")
	ts.Check(err)
	defer m.Close()
	for _, w := range m.Proto.GetGraph().Initializer {
		if at := bytes.Index(data, w.RawData); len(w.RawData) > 64 && at >= 0 {
			other := bytes.Clone(data)
			other[at+len(w.RawData)/2] ^= 1
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), other, 0o644))
			return
		}
	}
	ts.Fatalf("%s has no weights inside", args[0])
}

// cmdChecker asks the onnx package to check files: checker FILE... Without it the script goes
// on, and at its end is skipped with the reason.
func cmdChecker(ts *testscript.TestScript, neg bool, args []string) {
	python, err := provisiontest.FindPython("onnx")
	if err != nil {
		ts.Defer(func() { provisiontest.Missing(ts.Value(theTest{}).(testing.TB), err) })
		return
	}
	code := "import sys, onnx\nfor f in sys.argv[1:]: onnx.checker.check_model(f, full_check=True)"
	for i := range args {
		args[i] = ts.MkAbs(args[i])
	}
	out, err := exec.Command(python, append([]string{"-c", code}, args...)...).CombinedOutput()
	if (err != nil) != neg {
		ts.Fatalf("onnx.checker: %v\n%s", err, out)
	}
}

// cmdClean fails when a folder holds anything but the named files: clean DIR
// NAME... Hidden left-overs of an unfinished write are what it looks for.
func cmdClean(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: clean DIR NAME...")
	}
	onlyIn(ts, ts.MkAbs(args[0]), "clean", args[1:]...)
}
