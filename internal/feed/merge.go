package feed

import (
	"context"
	"sync"
)

// Merge is Each for work whose results are brought together: what work returns is called once that of all runs before it
// has been, one at a time, so that the order is that of the runs whatever the number of workers.
func (f *Feed) Merge(ctx context.Context, workers int, progress func(done, total int), work func(context.Context, *Run) (func(), error)) error {
	var mu sync.Mutex
	next, waiting := 0, map[int]func(){}
	return f.Each(ctx, workers, progress, func(ctx context.Context) func(*Run) error {
		return func(r *Run) error {
			merge, err := work(ctx, r)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			waiting[r.Seq] = merge
			for ; waiting[next] != nil; next++ {
				waiting[next]()
				delete(waiting, next)
			}
			return nil
		}
	})
}
