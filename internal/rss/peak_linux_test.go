package rss

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPeakIsOwn: what the process had that started this one is no part of its peak.
func TestPeakIsOwn(t *testing.T) {
	const started, size = "ONNX_COMPRESS_TEST_PEAK", 512 << 20
	if os.Getenv(started) != "" {
		fmt.Println(Peak())
		os.Exit(0)
	}
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(b) }()
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	c := exec.Command(os.Args[0], "-test.run=^TestPeakIsOwn$")
	c.Env = append(os.Environ(), started+"=1")
	text, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	var peak int64
	if _, err := fmt.Sscan(string(text), &peak); err != nil || peak <= 0 || peak >= size/2 {
		t.Errorf("the peak of a process that only says it is %d (%v)", peak, err)
	}
}
