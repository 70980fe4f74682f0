package compress

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/onnx-compress/onnx-compress/decomp"
	"github.com/onnx-compress/onnx-compress/internal/refit"
)

// refitMagic starts a file of what a refit has come to at some of its sites, one behind the other in topological order. Behind it are the
// length of what follows in 4 bytes, little-endian, the key as JSON; the length of what follows in 8 bytes, the outcomes as JSON; the
// weights of all factors, 64-bit numbers; and the SHA-256 of all that.
const refitMagic = "onnx-compress.refit\x01"

// refitBody is what such a file says.
type refitBody struct {
	Fit, Held int
	Sites     []refitSite
}

// refitSite is the outcome of a site.
type refitSite struct {
	Site     string
	Kept     bool   `json:",omitempty"`
	Shortcut bool   `json:",omitempty"`
	Ridge    exact  // of these numbers to the bit
	Before   exact  // of these, too
	After    exact  // and of these
	Why      string `json:",omitempty"`
	// Chain are the factors where the refit was kept.
	Chain []refitFactor `json:",omitempty"`
}

// refitFactor is a factor without its weights.
type refitFactor struct {
	Part            string
	Out, In, Groups int
	Window          []int  `json:",omitempty"`
	Axes            []bool `json:",omitempty"`
	Shift           exacts `json:",omitempty"`
}

// keepingShare is what part of a refit's time may go to keeping what it comes to.
const keepingShare = 50

// refitting keeps what one refit comes to. The nil refitting keeps nothing.
type refitting struct {
	k       *keeper
	key     statsKey
	done    refit.Walked
	written int           // of its sites
	since   time.Time     // when some were written last
	took    time.Duration // to write them
}

// refitting is what an earlier run came to in this refit, put into its options. They get what keeps the rest.
func (k *keeper) refitting(ctx context.Context, choices []refit.Choice, o *refit.Options) (*refitting, error) {
	if k == nil {
		return nil, nil
	}
	r := &refitting{k: k, key: k.refitKey(choices, o), since: time.Now()}
	for {
		path, head := r.place()
		there, err := foundSealed(ctx, path, refitMagic, head)
		if err != nil {
			return nil, fmt.Errorf("checkpoints in %s: %w", k.folder, err)
		}
		if !there {
			break
		}
		some, err := readRefit(path, int64(len(head)))
		if err != nil {
			return nil, fmt.Errorf("checkpoints in %s: %s: %w; remove it, so that its nodes are refitted anew", k.folder, path, err)
		}
		some.Sites = append(r.done.Sites, some.Sites...)
		r.done, r.written = some, len(some.Sites)
	}
	o.From, o.Keep = r.done, r.keep
	return r, nil
}

// place is where the outcomes of the next sites lie, and how their file begins.
func (r *refitting) place() (path string, head []byte) {
	key := append(r.key[:len(r.key):len(r.key)], keyFact{"nodes before", fmt.Sprint(r.written)})
	return fmt.Sprintf("%s-%d.ocr", r.files(), r.written), sealedHead(refitMagic, keptHead{key})
}

// files is what the paths of all its files begin with.
func (r *refitting) files() string { return r.k.path("refit", r.key) }

// keep notes how far the refit is, and writes it where that takes little of the time since.
func (r *refitting) keep(done refit.Walked) error {
	r.done = done
	if time.Since(r.since) < keepingShare*r.took {
		return nil
	}
	return r.flush()
}

// flush writes what is not written yet. It is not for a refit to break it off.
func (r *refitting) flush() error {
	if r == nil || r.written == len(r.done.Sites) {
		return nil
	}
	began := time.Now()
	path, head := r.place()
	some := refit.Walked{Fit: r.done.Fit, Held: r.done.Held, Sites: r.done.Sites[r.written:]}
	if err := writeRefit(path, head, some); err != nil {
		return fmt.Errorf("checkpoints in %s: %w", r.k.folder, err)
	}
	r.written, r.since = len(r.done.Sites), time.Now()
	r.took = r.since.Sub(began)
	return nil
}

// writeRefit writes outcomes.
func writeRefit(path string, head []byte, w refit.Walked) (err error) {
	body := refitBody{Fit: w.Fit, Held: w.Held, Sites: []refitSite{}}
	var weights [][]float64
	for _, o := range w.Sites {
		s := refitSite{Site: o.Site, Kept: o.Kept, Shortcut: o.Shortcut, Ridge: exact(o.Ridge), Before: exact(o.Before), After: exact(o.After), Why: o.Why}
		if o.Kept {
			for _, f := range o.Chain {
				k := f.Kernel
				s.Chain = append(s.Chain, refitFactor{f.Part, k.Out, k.In, k.Groups, k.Window, f.Axes, f.Shift})
				weights = append(weights, k.Weights)
			}
		}
		body.Sites = append(body.Sites, s)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	to, err := writeSealed(path, head)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = to.close()
		}
	}()
	if _, err := to.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text...)); err != nil {
		return err
	}
	for _, list := range weights {
		if _, err := to.Write(littleEndian(list)); err != nil {
			return err
		}
	}
	return to.commit(context.Background())
}

// readRefit reads the outcomes of a file that was found whole, behind its head.
func readRefit(path string, at int64) (w refit.Walked, err error) {
	f, err := os.Open(path)
	if err != nil {
		return w, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return w, err
	}
	return readWalked(io.NewSectionReader(f, at, info.Size()-at-sha256.Size))
}

// readWalked reads outcomes and their weights, which fill from.
func readWalked(from *io.SectionReader) (w refit.Walked, err error) {
	damaged := errors.New("it is damaged")
	var length uint64
	if binary.Read(from, binary.LittleEndian, &length) != nil || length > uint64(from.Size()) {
		return w, damaged
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(from, text); err != nil {
		return w, damaged
	}
	var body refitBody
	if err := json.Unmarshal(text, &body); err != nil {
		return w, fmt.Errorf("%w: %w", damaged, err)
	}
	left := from.Size() - 8 - int64(length)
	if len(body.Sites) == 0 || body.Fit < 0 || body.Held < 0 {
		return w, damaged
	}
	w = refit.Walked{Fit: body.Fit, Held: body.Held}
	for _, s := range body.Sites {
		o := refit.Outcome{Site: s.Site, Kept: s.Kept, Shortcut: s.Shortcut, Ridge: float64(s.Ridge), Before: float64(s.Before), After: float64(s.After), Why: s.Why}
		for _, f := range s.Chain {
			k := decomp.Kernel{Shape: decomp.Shape{Out: f.Out, In: f.In, Window: f.Window, Groups: f.Groups}}
			if k.Shape.Check() != nil || 8*k.Params() > left {
				return w, damaged
			}
			data := make([]byte, 8*k.Params())
			if _, err := io.ReadFull(from, data); err != nil {
				return w, err
			}
			left -= int64(len(data))
			k.Weights = float64s(data)
			o.Chain = append(o.Chain, decomp.Factor{Part: f.Part, Kernel: k, Axes: f.Axes, Shift: f.Shift})
		}
		w.Sites = append(w.Sites, o)
	}
	if left != 0 {
		return w, damaged
	}
	return w, nil
}
