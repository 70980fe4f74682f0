package rss

import (
	"bytes"
	"runtime/debug"
	"testing"
	"time"
)

// TestShed reads a file through a map, and wants its pages to go again.
func TestShed(t *testing.T) {
	const size = 64 << 20
	s, err := NewSpool(1 << 60)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Bytes(bytes.Repeat([]byte{7}, size))
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory()
	before := Resident()
	touch := func() (sum int) {
		for i := 0; i < len(b); i += 4096 {
			sum += int(b[i])
		}
		return sum
	}
	if touch() != 7*size/4096 {
		t.Fatal("the file reads differently")
	}
	if grown := Resident() - before; grown < size/2 {
		t.Fatalf("reading %d bytes takes %d", size, grown)
	}
	watch := Shed([]string{s.file.Name(), "/nowhere"}, before+size/4)
	for range 500 {
		if Resident() < before+size/2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	watch.Stop()
	if grown := Resident() - before; grown > size/2 {
		t.Errorf("%d bytes are still there", grown)
	}
	if touch() != 7*size/4096 {
		t.Error("the file reads differently")
	}
	if Peak() < before {
		t.Errorf("the peak is %d, less than the %d before", Peak(), before)
	}
}
