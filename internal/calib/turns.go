package calib

import (
	"context"
	"sync"
)

// turns lets workers compute side by side and add up what they found in a fixed order.
// Turns are numbered from 0.
type turns struct {
	mu      sync.Mutex
	turned  sync.Cond
	next    int // whose turn it is
	stopped bool
}

func (t *turns) init() { t.turned.L = &t.mu }

// take waits for a turn, and holds the lock when it has come: pass ends it. The error is
// that of the context, when the turns have been stopped.
func (t *turns) take(ctx context.Context, turn int) error {
	t.mu.Lock()
	for t.next != turn && !t.stopped {
		t.turned.Wait()
	}
	if t.stopped {
		t.mu.Unlock()
		return ctx.Err()
	}
	return nil
}

func (t *turns) pass() {
	t.next++
	t.turned.Broadcast()
	t.mu.Unlock()
}

// stop lets those go who wait for their turn; the context must have ended.
func (t *turns) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.turned.Broadcast()
}
