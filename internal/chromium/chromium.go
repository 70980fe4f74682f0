// Package chromium opens pages in a headless Chromium that is installed already, for tests
// and for pictures of pages.
package chromium

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// names are what the program is called.
func names() []string {
	return []string{"chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable"}
}

// Find returns the path of the first Chromium on the PATH.
func Find() (string, error) {
	for _, name := range names() {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Chromium is installed: there is none of %s on the PATH", strings.Join(names(), ", "))
}

// Browser is a running Chromium.
type Browser struct {
	ctx  context.Context
	stop []context.CancelFunc
}

// Start starts the Chromium at a path. It ends with Close.
func Start(ctx context.Context, path string) (*Browser, error) {
	// Its sandbox does not work for root, nor in containers; the pages are our own.
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.WSURLReadTimeout(2*time.Minute))
	b := &Browser{}
	ctx, stop := chromedp.NewExecAllocator(ctx, options...)
	b.stop = append(b.stop, stop)
	b.ctx, stop = chromedp.NewContext(ctx)
	b.stop = append(b.stop, stop)
	if err := chromedp.Do(b.ctx); err != nil {
		b.Close()
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return b, nil
}

// Close ends the browser.
func (b *Browser) Close() {
	for i := len(b.stop) - 1; i >= 0; i-- {
		b.stop[i]()
	}
}

// View is how a page is looked at.
type View struct {
	Width, Height int // in CSS pixels
	Dark          bool
}

// Page is an open page.
type Page struct {
	ctx  context.Context
	stop context.CancelFunc
	// Load is how long it took until the page and all that it needs were there.
	Load time.Duration

	mu       sync.Mutex
	faults   []string
	requests []string
}

// Open opens the page at a URL.
func (b *Browser) Open(url string, v View) (*Page, error) {
	ctx, stop := chromedp.NewContext(b.ctx)
	p := &Page{ctx: ctx, stop: stop}
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	media := func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		return err
	}
	err := chromedp.Listen(ctx, p.hear)
	if err == nil {
		err = chromedp.Do(ctx, chromedp.EmulateViewport(int64(v.Width), int64(v.Height)), chromedp.Func(media), chromedp.Navigate(url))
	}
	var took float64
	if err == nil {
		took, err = chromedp.Run(ctx, chromedp.Evaluate[float64](`performance.getEntriesByType("navigation")[0].loadEventEnd`))
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("opening %s: %w", url, err)
	}
	p.Load = time.Duration(took * float64(time.Millisecond))
	return p, nil
}

// Close closes the page.
func (p *Page) Close() { p.stop() }

// hear keeps what the page says on the console, and what it asks for.
func (p *Page) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		var words []string
		for _, a := range e.Args {
			words = append(words, string(a.Value)+a.Description)
		}
		p.faults = append(p.faults, fmt.Sprintf("console.%s: %s", e.Type, strings.Join(words, " ")))
	case *runtime.EventExceptionThrown:
		p.faults = append(p.faults, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		p.faults = append(p.faults, fmt.Sprintf("%s: %s", e.Entry.Level, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, e.Request.URL)
	}
}

// Faults are what was said on the console so far.
func (p *Page) Faults() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.faults...)
}

// Requests are the addresses that were asked for so far, that of the page included.
func (p *Page) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.requests...)
}

// Eval evaluates an expression of JavaScript in a page, and waits for it where it is a
// promise.
func Eval[T any](p *Page, expression string) (T, error) {
	return chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Tab presses the tabulator key.
func (p *Page) Tab() error { return chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab)) }

// Enter presses the enter key.
func (p *Page) Enter() error { return chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Enter)) }

// PNG is a picture of what is in view.
func (p *Page) PNG() ([]byte, error) { return chromedp.Run(p.ctx, chromedp.CaptureScreenshot()) }
