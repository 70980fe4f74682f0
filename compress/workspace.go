package compress

import (
	"context"

	"golang.org/x/sync/semaphore"

	"github.com/onnx-compress/onnx-compress/decomp"
)

// workspace is the memory for kernels while they are factored: half of the limit, so that only as many are side by side as it holds, or one
// that takes more.
type workspace struct {
	size int64
	free *semaphore.Weighted
}

func newWorkspace(memory int64) *workspace {
	size := max(memory/2, 1)
	return &workspace{size, semaphore.NewWeighted(size)}
}

// enter waits until there is room for a kernel, and returns what gives that back; the error is the context's. The nil workspace has
// room for all.
func (w *workspace) enter(ctx context.Context, k decomp.Shape) (leave func(), err error) {
	return w.take(ctx, factoringBytes(k))
}

// take waits until there is room for so many bytes, or for all where they are more.
func (w *workspace) take(ctx context.Context, need int64) (leave func(), err error) {
	if w == nil {
		return func() {}, ctx.Err()
	}
	need = min(need, w.size)
	if err := w.free.Acquire(ctx, need); err != nil {
		return nil, err
	}
	return func() { w.free.Release(need) }, nil
}

// factoringBytes is about what factoring a kernel takes: four copies of it, and three matrices of its smaller side.
func factoringBytes(k decomp.Shape) int64 {
	side := int64(min(k.Rows(), k.Cols()))
	return 8 * (4*k.Params() + 3*side*side)
}

// leastMemory is what no site is refused for, however small the limit is: little beside the program and its libraries.
const leastMemory = 64 << 20
