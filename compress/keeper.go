package compress

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/refit"
	"github.com/onnx-compress/onnx-compress/samples"
)

// keeper keeps in the folder of checkpoints what a run finds after its parts. The nil keeper keeps nothing, and has nothing.
type keeper struct {
	folder  string
	source  samples.Source
	threads int
	key     statsKey          // of the calibration
	offers  statsKey          // of the factoring
	samples map[string]string // digests of samples by that of their numbers
}

// known is the key of the calibration, nil where it is not known yet.
func (k *keeper) known() statsKey {
	if k == nil {
		return nil
	}
	return k.key
}

// Files of what is kept begin with a magic, the length of what follows in 4 bytes, little-endian, and the key as JSON, and end with the
// SHA-256 of all before.
const keptMagic = "onnx-compress.kept\x01"

// keptHead is what such a file says of itself.
type keptHead struct{ Key statsKey }

// maxKept bounds what is remembered of one thing.
const maxKept = 1 << 24

// path is where something of a key lies.
func (k *keeper) path(kind string, key statsKey) string {
	return filepath.Join(k.folder, kind+"-"+digest(key)[:16])
}

// remembered is what make gives of things and samples, which make it what it is, beside the factoring; or what it gave of the same before.
func remembered[T any](ctx context.Context, k *keeper, kind string, of []any, on []int, make func() (T, error)) (T, error) {
	if k == nil {
		return make()
	}
	if was, found, err := recalled[T](ctx, k, kind, of, on); err != nil || found {
		return was, err
	}
	made, err := make()
	if err != nil {
		return made, err
	}
	_, err = k.keep(ctx, kind, of, on, made) // what cannot be written is found again
	return made, err
}

// recalled is what was kept of things and samples.
func recalled[T any](ctx context.Context, k *keeper, kind string, of []any, on []int) (was T, found bool, err error) {
	path, head, err := k.place(ctx, kind, of, on)
	if err != nil {
		return was, false, err
	}
	there, err := foundSealed(ctx, path, keptMagic, head)
	if err != nil || !there {
		return was, false, k.failed(err)
	}
	if was, err = readKept[T](path, int64(len(head))); err != nil {
		return was, false, nil // the program that wrote it is not this one, and it is replaced
	}
	return was, true, nil
}

// keep keeps something of things and samples, if it can be written.
func (k *keeper) keep(ctx context.Context, kind string, of []any, on []int, made any) (kept bool, err error) {
	text, err := json.Marshal(made)
	if err != nil || len(text) > maxKept {
		return false, nil
	}
	path, head, err := k.place(ctx, kind, of, on)
	if err == nil {
		err = k.failed(writeKept(ctx, path, head, text))
	}
	return err == nil, err
}

// place is where something of things and samples is kept, and how its file begins.
func (k *keeper) place(ctx context.Context, kind string, of []any, on []int) (path string, head []byte, err error) {
	key, err := k.thing(ctx, kind, of, on)
	return k.path(kind, key) + ".ock", sealedHead(keptMagic, keptHead{key}), k.failed(err)
}

// failed says of an error where it came about.
func (k *keeper) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("checkpoints in %s: %w", k.folder, err)
}

// thing is the key of something by what makes it what it is.
func (k *keeper) thing(ctx context.Context, kind string, of []any, on []int) (statsKey, error) {
	numbers := digest(on)
	if k.samples[numbers] == "" {
		sum, err := samples.Digest(ctx, labelled{k.source}, on, k.threads)
		if err != nil {
			return nil, err
		}
		k.samples[numbers] = sum
	}
	text, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return append(k.offers[:len(k.offers):len(k.offers)], keyFact{"kind", kind}, keyFact{"numbers", numbers}, keyFact{"its samples", k.samples[numbers]}, keyFact{"of", hex.EncodeToString(sum[:])}), nil
}

// labelled are samples whose names have their labels, so that these count in a digest.
type labelled struct{ samples.Source }

// Sample reads a sample.
func (l labelled) Sample(i int) (samples.Sample, error) {
	s, err := l.Source.Sample(i)
	s.Name = fmt.Sprintf("%q %d %g %d", s.Name, s.Label, s.Share, s.Other)
	return s, err
}

// readKept reads what is remembered in a file that was found whole, behind its head.
func readKept[T any](path string, at int64) (out T, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return out, err
	}
	d := json.NewDecoder(strings.NewReader(string(data[at : len(data)-sha256.Size])))
	d.DisallowUnknownFields()
	return out, d.Decode(&out)
}

// writeKept writes what is remembered.
func writeKept(ctx context.Context, path string, head, text []byte) error {
	to, err := writeSealed(path, head)
	if err != nil {
		return err
	}
	if _, err = to.Write(text); err == nil {
		err = to.commit(ctx)
	}
	if err != nil {
		_ = to.close()
	}
	return err
}

// told is what a model that was assembled is, for a key.
func (s *Assembled) told() any {
	h := sha256.New()
	for _, c := range s.Chains {
		hashChain(h, c)
	}
	var axes [][]int
	for _, n := range s.Narrowed {
		axes = append(axes, n.Keep)
	}
	return []any{hex.EncodeToString(h.Sum(nil)), axes}
}

// hashChain adds a chain, to the bit.
func hashChain(h hash.Hash, c decomp.Chain) {
	fmt.Fprintf(h, "%d factors\n", len(c))
	for _, f := range c {
		fmt.Fprintf(h, "%q %v %v %v\n", f.Part, f.Kernel.Shape, f.Axes, f.Shift != nil)
		h.Write(littleEndian(f.Kernel.Weights))
		h.Write(littleEndian(f.Shift))
	}
}

// refitKey is that of a refit of choices.
func (k *keeper) refitKey(choices []refit.Choice, o *refit.Options) statsKey {
	h := sha256.New()
	for i := range choices {
		c := &choices[i]
		fmt.Fprintf(h, "%q %q %q\n", c.Site.Name, c.Method.Name, c.Left)
		hashChain(h, c.Chain)
		if c.Narrow != nil {
			fmt.Fprintf(h, "%v %v\n", c.Narrow.In, c.Narrow.Out)
			h.Write(littleEndian(c.Narrow.Fold.Weights))
		}
	}
	return append(k.offers[:len(k.offers):len(k.offers)],
		keyFact{"version of the refit", fmt.Sprint(refit.Version)},
		keyFact{"samples at once", fmt.Sprint(o.Batch)},
		keyFact{"new parameters", fmt.Sprint(o.Grow)},
		keyFact{"chains", hex.EncodeToString(h.Sum(nil))})
}
