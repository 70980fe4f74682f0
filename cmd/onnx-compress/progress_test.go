package main

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestBars: stages show one after the other, with and without an end, from any number of
// goroutines, and leave the line empty.
func TestBars(t *testing.T) {
	var out bytes.Buffer
	b := &bars{w: &out}
	b.update("analyse", 0, 0)
	b.update("calibrate", 0, 0)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { b.update("calibrate", i+1, 20) })
	}
	all.Wait()
	b.update("factor", 0, 0)
	b.update("factor", 1, 3)
	b.close()
	b.close()
	text := out.String()
	last := -1
	for _, stage := range []string{"analyse", "calibrate", "factor"} {
		at := strings.Index(text, stage)
		if at <= last {
			t.Errorf("stage %s is not shown, or not in its turn: %q", stage, text)
		}
		last = at
	}
	if line := text[strings.LastIndex(text, "\r")+1:]; strings.TrimSpace(line) != "" {
		t.Errorf("the last line is %q", line)
	}
	if strings.Contains(text, "\x1b[3") {
		t.Errorf("there are colours in %q", text)
	}
}

// TestNoBars: what is no terminal gets no bars, and neither do people who want quiet.
func TestNoBars(t *testing.T) {
	var out bytes.Buffer
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, b := range []*bars{newBars(&out, false), newBars(&out, true), newBars(file, false)} {
		if b != nil {
			t.Error("there are bars")
		}
		b.update("calibrate", 1, 2)
		b.close()
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 || out.Len() != 0 {
		t.Errorf("%d bytes in a file, %d elsewhere", info.Size(), out.Len())
	}
}
