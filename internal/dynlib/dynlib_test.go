package dynlib

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/onnx-compress/onnx-compress/internal/provision"
	"github.com/onnx-compress/onnx-compress/internal/provision/provisiontest"
)

func TestOpen(t *testing.T) {
	path := provisiontest.Need(t, provision.ONNXRuntime)
	const exported = "OrtGetApiBase"
	var addresses []uintptr
	for range 2 {
		l, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(l.Path()) {
			t.Errorf("path %q is not absolute", l.Path())
		}
		address, err := l.Symbol(exported)
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
		_, err = l.Symbol("no_such_symbol")
		if err == nil || !strings.Contains(err.Error(), l.Path()+" exports no no_such_symbol: ") {
			t.Errorf("error %v", err)
		}
	}
	if addresses[0] == 0 || addresses[0] != addresses[1] {
		t.Errorf("%s lies at %#x: want one place", exported, addresses)
	}
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text.so")
	if err := os.WriteFile(text, []byte("no library"), 0o644); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(folder, "none.so")
	for path, want := range map[string]string{
		missing: missing,
		folder:  folder + " is a folder: give the library's file",
		text:    "load " + text + ": ",
	} {
		// Goroutines change threads, and the loader keeps its reason per thread.
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := Open(path)
				if err == nil || !strings.Contains(err.Error(), want) || strings.HasSuffix(err.Error(), ": ") {
					t.Errorf("error %v does not say %q and the reason", err, want)
				}
			})
		}
		all.Wait()
	}
}
