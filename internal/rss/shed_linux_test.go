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

// TestShedRarely: where there is nothing to give back, looks become rare, and frequent again where there is.
func TestShedRarely(t *testing.T) {
	spool, err := NewSpool(1 << 60)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.Close()
	b, err := spool.Bytes(make([]byte, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	s := Shed([]string{spool.file.Name()}, 1<<60)
	s.Stop() // so that only the looks below count
	s.shed()
	s.limit = Resident() / 2
	wait := interval
	for range 8 {
		wait = s.look(wait)
	}
	if wait != longest {
		t.Errorf("with nothing to give back it waits %v, want %v", wait, longest)
	}
	sum := 0
	for i := 0; i < len(b); i += 4096 {
		sum += int(b[i])
	}
	if wait = s.look(wait); wait != interval || sum != 0 {
		t.Errorf("after it has given back 64 MiB it waits %v, want %v", wait, interval)
	}
}
