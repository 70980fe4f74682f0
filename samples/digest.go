package samples

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Digest is the SHA-256, in hex, of the samples numbered by indices as a model is fed with them: their names, and the
// types, shapes and numbers of their inputs, in this order. Labels do not count. So many samples as threads are read
// side by side.
func Digest(ctx context.Context, src Source, indices []int, threads int) (string, error) {
	sums := make([]Sum, len(indices))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(threads, 1))
	for k, i := range indices {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := src.Sample(i)
			if err == nil {
				sums[k] = s.sum()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	return DigestOf(sums), nil
}

// Sum is the SHA-256 of a sample as a model is fed with it.
type Sum [sha256.Size]byte

// DigestOf is the Digest of samples that have these sums.
func DigestOf(sums []Sum) string {
	h := sha256.New()
	for _, s := range sums {
		h.Write(s[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s Sample) sum() Sum {
	h := sha256.New()
	fmt.Fprintf(h, "%q %v\n", s.Name, s.Whole)
	for _, name := range slices.Sorted(maps.Keys(s.Inputs)) {
		t := s.Inputs[name]
		fmt.Fprintf(h, "%q %s %v %d\n", name, t.Type, t.Shape, len(t.Data))
		h.Write(t.Data)
	}
	return Sum(h.Sum(nil))
}
