package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/onnx-compress/onnx-compress/internal/quote"
)

// shower shows people how far the work is.
type shower interface {
	// update tells that done of total steps of a stage are over; with total 0 only that it has begun. Behind the stage's name
	// may stand a colon and a remark. Several goroutines may call it.
	update(stage string, done, total int)
	// close ends it.
	close()
}

// envProgress is the variable that a program sets to "lines" which shows the progress itself, as the Python package does.
const envProgress = "ONNX_COMPRESS_PROGRESS"

// newShower returns where progress goes: marks for a program that asks for them, bars on a terminal, and lines elsewhere.
func newShower(w io.Writer, quiet bool) shower {
	if quiet {
		return hidden{}
	}
	if os.Getenv(envProgress) == "lines" {
		return &marks{w: w, now: time.Now}
	}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &bars{w: w}
	}
	now := time.Now()
	return &lines{w: w, now: time.Now, begun: now, said: now}
}

// hidden shows nothing.
type hidden struct{}

func (hidden) update(string, int, int) {}
func (hidden) close()                  {}

// between is the time from one line to the next.
const between = 30 * time.Second

// lines says now and then how far the work is, where that is read later: in a log. Work that is done sooner says nothing.
type lines struct {
	w           io.Writer
	now         func() time.Time
	mu          sync.Mutex
	begun, said time.Time
}

func (l *lines) update(stage string, done, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.now()
	if at.Sub(l.said) < between {
		return
	}
	l.said = at
	far := ""
	if total > 0 {
		far = fmt.Sprintf(" %d %%", 100*int64(done)/int64(total))
	}
	fmt.Fprintf(l.w, "%s%s, after %s\n", quote.Name(stage), far, at.Sub(l.begun).Round(time.Second))
}

func (*lines) close() {}

// apart is the time from one mark of a stage to the next.
const apart = 100 * time.Millisecond

// marks are for another program: lines of a control character, the stage, and the steps that are done and in total, by tabs.
type marks struct {
	w     io.Writer
	now   func() time.Time
	mu    sync.Mutex
	stage string
	said  time.Time
}

func (m *marks) update(stage string, done, total int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.now()
	if stage == m.stage && done < total && at.Sub(m.said) < apart {
		return
	}
	m.stage, m.said = stage, at
	fmt.Fprintf(m.w, "\x1e%s\t%d\t%d\n", quote.Name(stage), done, total)
}

func (*marks) close() {}

// bars shows one progress bar per stage.
type bars struct {
	w     io.Writer
	mu    sync.Mutex
	stage string
	total int
	bar   *progressbar.ProgressBar
}

func (b *bars) update(stage string, done, total int) {
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
