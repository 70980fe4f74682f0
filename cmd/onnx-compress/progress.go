package main

import (
	"io"
	"os"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/onnx-compress/onnx-compress/internal/quote"
)

// bars shows one progress bar per stage on a terminal, and nothing elsewhere.
type bars struct {
	w     io.Writer
	mu    sync.Mutex
	stage string
	total int
	bar   *progressbar.ProgressBar
}

// newBars returns where progress goes: nil unless w is a terminal.
func newBars(w io.Writer, quiet bool) *bars {
	f, ok := w.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bars{w: w}
}

// update shows that done of total steps of a stage are over; with total 0 only
// that it has begun. Behind the stage's name may stand a colon and a remark. Several
// goroutines may call it.
func (b *bars) update(stage string, done, total int) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	stage = quote.Name(stage)
	name, _, _ := strings.Cut(stage, ":")
	if b.bar == nil || b.stage != name || b.total != total {
		b.finish()
		b.stage, b.total = name, total
		steps := total
		if total == 0 {
			steps = -1 // a bar without an end
		}
		b.bar = progressbar.NewOptions(steps,
			progressbar.OptionSetWriter(b.w), progressbar.OptionSetDescription(stage),
			progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	}
	if total == 0 {
		_ = b.bar.RenderBlank()
		return
	}
	b.bar.Describe(stage)
	_ = b.bar.Set(done)
}

// close takes the bar off the screen.
func (b *bars) close() {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finish()
}

func (b *bars) finish() {
	if b.bar != nil {
		_ = b.bar.Finish()
		_ = b.bar.Clear()
		b.bar = nil
	}
}
