package ort

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTable compares slots with the positions that the runtime's own source
// asserts for the last function of each version of the API.
func TestTable(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want slot
	}{
		{"ReleaseCustomOpDomain (version 1)", slotReleaseCustomOpDomain, 101},
		{"ReleaseModelMetadata (version 2)", slotReleaseModelMetadata, 118},
		{"AddFreeDimensionOverrideByName (version 3)", slotAddFreeDimensionOverrideByName, 124},
		{"ReleaseAvailableProviders (version 4)", slotReleaseAvailableProviders, 126},
		{"SetGlobalSpinControl (version 5)", slotSetGlobalSpinControl, 149},
		{"ReleaseArenaCfg (version 6)", slotReleaseArenaCfg, 157},
		{"GetCurrentGpuDeviceId (version 7)", slotGetCurrentGpuDeviceId, 161},
		{"CreateSessionFromArrayWithPrepackedWeightsContainer (version 8)", slotCreateSessionFromArrayWithPrepackedWeightsContainer, 169},
	} {
		if c.got != c.want {
			t.Errorf("%s is at %d, want %d", c.name, c.got, c.want)
		}
	}
	if slotCount != 415 {
		t.Errorf("the table has %d functions, version 24 of the API has 415", slotCount)
	}
}

// headers returns the C headers at hand: the one that $ONNXRUNTIME_C_API_H
// names, or those in Go's module cache.
func headers(t *testing.T) []string {
	t.Helper()
	if named := os.Getenv("ONNXRUNTIME_C_API_H"); named != "" {
		return []string{named}
	}
	cache, err := exec.Command("go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skip("no go command to ask for the module cache: ", err)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(cache)), "github.com", "yalue", "onnxruntime_go@*", "onnxruntime_c_api.h"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestGenerated generates the table anew from each header at hand that is new
// enough, and compares.
func TestGenerated(t *testing.T) {
	got, err := os.ReadFile("api_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, header := range headers(t) {
		fresh := filepath.Join(t.TempDir(), "api_gen.go")
		out, err := exec.Command("go", "run", "./gen", "-header", header, "-api", strconv.Itoa(apiVersion), "-o", fresh).CombinedOutput()
		if err != nil {
			if strings.Contains(string(out), "older than the wanted") {
				continue
			}
			t.Fatalf("%v: %s", err, out)
		}
		want, err := os.ReadFile(fresh)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("api_gen.go differs from what gen makes of %s: run go generate", header)
		}
		compared++
	}
	if compared == 0 {
		t.Skip("no onnxruntime_c_api.h is at hand: name one with ONNXRUNTIME_C_API_H")
	}
}
