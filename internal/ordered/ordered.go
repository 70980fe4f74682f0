// Package ordered brings what is worked out side by side together in a fixed order, so that sums have the same bits
// with any number of threads.
package ordered

import (
	"context"
	"sync"
)

// Turns are done one at a time and in their order, from 0 on, by goroutines that come in any order. All of them have to
// come, and whoever works on several takes up the lower ones first. The zero value is ready for use.
type Turns struct {
	mu      sync.Mutex
	next    int                   // whose turn it is
	waiting map[int]chan struct{} // closed when the turn has come
}

// Do waits until all turns before this one are done, and calls f. Where the context ends first, its error is returned
// and f is not called, nor that of any later turn.
func (t *Turns) Do(ctx context.Context, turn int, f func()) error {
	if err := t.wait(ctx, turn); err != nil {
		return err
	}
	f()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	if come, ok := t.waiting[t.next]; ok {
		close(come)
		delete(t.waiting, t.next)
	}
	return nil
}

func (t *Turns) wait(ctx context.Context, turn int) error {
	t.mu.Lock()
	come := make(chan struct{})
	if t.next == turn {
		close(come)
	} else {
		if t.waiting == nil {
			t.waiting = map[int]chan struct{}{}
		}
		t.waiting[turn] = come
	}
	t.mu.Unlock()
	select {
	case <-come:
	case <-ctx.Done():
	}
	return ctx.Err()
}
