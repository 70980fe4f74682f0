package ort

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
	"github.com/onnx-compress/onnx-compress/tensor"
)

func TestOpen(t *testing.T) {
	path := provisiontest.Need(t, provision.ONNXRuntime)
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if n, ok := newestAPI(l.Version()); !ok || n < apiVersion {
		t.Errorf("version %q does not know C API %d", l.Version(), apiVersion)
	}
	if !filepath.IsAbs(l.Path()) {
		t.Errorf("path %q is not absolute", l.Path())
	}
	t.Logf("ONNX Runtime %s at %s", l.Version(), l.Path())
}

func TestOpenErrors(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "none.so")
	for _, c := range []struct{ name, path, want string }{
		{"missing", missing, missing},
		{"folder", folder, "is a folder"},
		{"text", text, "load " + text},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := Open(c.path)
			if err == nil {
				l.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestOpenOtherLibrary(t *testing.T) {
	path := provisiontest.Need(t, provision.OpenBLAS)
	l, err := Open(path)
	if err == nil {
		l.Close()
		t.Fatal("no error")
	}
	if want := "is not ONNX Runtime"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q does not say %q", err, want)
	}
}

// TestOldRuntime puts a structure in the runtime's place that says it is old.
func TestOldRuntime(t *testing.T) {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	for _, c := range []struct {
		version string
		asked   bool // whether GetApi is called
	}{
		{"1.23.2", false},
		{"1.9.0", false},
		{"1.24.0", true},
		{"unknown", true},
	} {
		t.Run(c.version, func(t *testing.T) {
			asked := uintptr(0)
			text := append([]byte(c.version), 0)
			base := make([]uintptr, baseCount)
			pinner.Pin(&text[0])
			pinner.Pin(&base[0])
			base[baseGetApi] = purego.NewCallback(func(version uintptr) uintptr {
				asked = version
				return 0
			})
			base[baseGetVersionString] = purego.NewCallback(func() uintptr { return uintptr(unsafe.Pointer(&text[0])) })
			entry := purego.NewCallback(func() uintptr { return uintptr(unsafe.Pointer(&base[0])) })

			err := (&Library{path: "lib.so"}).readTable(entry)
			var old *VersionError
			if !errors.As(err, &old) {
				t.Fatalf("error %v, want a VersionError", err)
			}
			for _, want := range []string{"lib.so", c.version, "1.24"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if (asked == apiVersion) != c.asked {
				t.Errorf("GetApi was asked for version %d", asked)
			}
		})
	}
}

func TestNewestAPI(t *testing.T) {
	for _, c := range []struct {
		version string
		n       int
		ok      bool
	}{
		{"1.24.4", 24, true},
		{"1.32.0", 32, true},
		{"1.9", 9, true},
		{"1.33.0-dev-20261101", 33, true},
		{"2.0.0", 0, false},
		{"", 0, false},
		{"1.x", 0, false},
	} {
		if n, ok := newestAPI(c.version); n != c.n || ok != c.ok {
			t.Errorf("newestAPI(%q) = %d, %v, want %d, %v", c.version, n, ok, c.n, c.ok)
		}
	}
}

// TestCloseOrder closes a library and a session before what came from them.
func TestCloseOrder(t *testing.T) {
	l := openLibrary(t)
	s := openSession(t, l, mlp(), Options{})
	x := random(3, 2, 64)
	ctx := context.Background()
	r, err := s.Run(ctx, map[string]tensor.Dense{"x": x}, []string{"y"})
	if err != nil {
		t.Fatal(err)
	}
	before := string(r.Get(0).Data)

	l.Close()
	l.Close()
	if _, err := l.NewSession(marshal(t, mlp()), Options{}); !errors.Is(err, ErrClosed) {
		t.Errorf("session of a closed library: error %v, want ErrClosed", err)
	}
	second, err := s.Run(ctx, map[string]tensor.Dense{"x": x}, []string{"y"})
	if err != nil {
		t.Fatalf("a session made before Close: %v", err)
	}
	second.Close()

	s.Close()
	s.Close()
	if _, err := s.Run(ctx, map[string]tensor.Dense{"x": x}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("run of a closed session: error %v, want ErrClosed", err)
	}
	if _, err := s.EndProfiling(); err == nil {
		t.Error("EndProfiling of a closed session: no error")
	}
	if string(r.Get(0).Data) != before {
		t.Error("results changed when their session was closed")
	}
	r.Close()
	r.Close()
	if r.Len() != 1 || r.Get(0).Data != nil {
		t.Error("closed results still show data")
	}
	if l.env != 0 || s.session != 0 {
		t.Error("closing all users did not free the session and the library")
	}
}
