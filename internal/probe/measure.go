package probe

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/onnx-compress/onnx-compress/costs"
	"github.com/onnx-compress/onnx-compress/internal/atomicfile"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/internal/timing"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// together is how many probes run by turns. The model that they are for runs with each such group, so that those which met a slower
// machine can be put right.
const together = 24

// limits bound the turns of a group.
func limits() timing.Limits {
	return timing.Limits{WarmUps: 2, Settle: 2, Least: 8, Most: 16, For: 1500 * time.Millisecond}
}

// Reference is the model that probes are for.
type Reference struct {
	Path   string
	Inputs map[string]tensor.Dense
}

// Measured is what was found.
type Measured struct {
	Points []costs.Point
	// Whole is what all nodes of the reference take, in microseconds, and PerNode what a kernel takes beyond what the profile says of
	// it, which the points have in them. It is negative, as measuring takes time too.
	Whole, PerNode float64
	// Refused are probes that the runtime does not run, with its reasons.
	Refused []error
}

// Measure times the probes and the reference, on so many threads. told hears how many probes are done.
func Measure(ctx context.Context, lib *ort.Library, ref Reference, probes []Probe, threads int, told func(done, total int)) (*Measured, error) {
	folder, err := atomicfile.MakeFolder("", "onnx-compress")
	if err != nil {
		return nil, fmt.Errorf("a folder for profiles: %w", err)
	}
	defer folder.Remove()
	m := &measurer{lib: lib, ref: ref, folder: folder.Path, threads: threads}
	var groups []group
	out := &Measured{}
	for done := 0; done < len(probes); {
		told(done, len(probes))
		n := min(together, len(probes)-done)
		g, refused, err := m.group(ctx, probes[done:done+n])
		if err != nil {
			return nil, err
		}
		groups, out.Refused = append(groups, g), append(out.Refused, refused...)
		done += n
	}
	list, beyond, err := m.whole(ctx)
	if err != nil {
		return nil, err
	}
	kernels := sum(list)
	least, empty, err := m.trivial(ctx)
	if err != nil {
		return nil, err
	}
	beyond = plausible(beyond, least)
	out.Whole = max(kernels+float64(len(list))*beyond, float64(len(list))*leastNode)
	added, err := m.added(ctx, probes, empty)
	if err != nil {
		return nil, err
	}
	slower := beside(groups, list, added)
	for _, g := range groups {
		for _, p := range g.points {
			p.Micros = max(leastNode, slower*(p.Micros*kernels/g.kernels-float64(p.kernels)*added))
			out.Points = append(out.Points, p.Point)
		}
	}
	out.PerNode = -added
	return out, nil
}

// beside is by how much nodes take longer in the reference than as probes, the clocks of all groups being the same: where all that
// multiplies there was probed, what that takes in sum tells, less what the profile added to each kernel.
func beside(groups []group, reference []timing.Kernel, added float64) float64 {
	there, here, nodes := 0.0, 0.0, 0
	for _, k := range reference {
		if multiplies(k.Op) {
			there += settled(k) - added
			nodes++
		}
	}
	for _, g := range groups {
		for _, p := range g.points {
			here += float64(p.count) * (p.multiply*sum(reference)/g.kernels - added)
			nodes -= p.count
		}
	}
	if nodes != 0 || !(here > 0) || !(there > 0) {
		return 1
	}
	return there / here
}

// multiplies tells of an operator, also as the runtime fuses it, whether a weight may be multiplied there.
func multiplies(op string) bool {
	return strings.Contains(op, "Conv") || strings.Contains(op, "MatMul") || strings.Contains(op, "Gemm")
}

// measurer measures groups of probes.
type measurer struct {
	lib     *ort.Library
	ref     Reference
	folder  string
	threads int
	files   int
}

// group is what was measured together.
type group struct {
	points  []point
	kernels float64 // of the reference, which ran beside them, in microseconds
}

// point is a piece that was measured: kernels is how many are its own, and multiply the share of its time that takes the one that multiplies.
type point struct {
	costs.Point
	kernels  int
	multiply float64
	count    int
}

// profiled opens a session whose runs are profiled.
func (m *measurer) profiled() ort.Options {
	m.files++
	return ort.Options{Threads: m.threads, ProfilePrefix: filepath.Join(m.folder, fmt.Sprint(m.files))}
}

func (m *measurer) group(ctx context.Context, probes []Probe) (g group, refused []error, err error) {
	var sessions []*ort.Session
	defer func() {
		for _, s := range sessions {
			s.Close()
		}
	}()
	ref, err := m.lib.NewSessionFile(m.ref.Path, m.profiled())
	if err != nil {
		return g, nil, err
	}
	sessions = append(sessions, ref)
	runners := []func(context.Context) error{timing.Runner(ref, m.ref.Inputs)}
	var taken []*Probe
	for i := range probes {
		p := &probes[i]
		data, inputs, err := p.model()
		if err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", p.Piece, err))
			continue
		}
		s, err := m.lib.NewSession(data, m.profiled())
		if err != nil {
			refused = append(refused, fmt.Errorf("%s: %w", p.Piece, err))
			continue
		}
		sessions, taken = append(sessions, s), append(taken, p)
		run := timing.Runner(s, inputs)
		runners = append(runners, func(ctx context.Context) error {
			if err := run(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.Piece, err)
			}
			return nil
		})
	}
	if _, err := timing.Turns(ctx, limits(), runners...); err != nil {
		return g, nil, err
	}
	for i, s := range sessions {
		kernels, err := timing.Profile(s)
		if err != nil {
			return g, nil, err
		}
		if s == ref {
			g.kernels = sum(kernels)
			continue
		}
		p := point{Point: costs.Point{Piece: taken[i-1].Piece}, count: taken[i-1].Count}
		p.Micros, p.multiply, p.kernels = own(kernels)
		g.points = append(g.points, p)
	}
	return g, refused, nil
}

// own is what of a probe's kernels is due to the piece: its own, and what brings its input into the layout that it reads, or its output
// into that of the rest. What its reader needs on top is the reader's. multiply is what of that its own kernel takes, and n how many
// kernels there are.
func own(kernels []timing.Kernel) (us, multiply float64, n int) {
	is := func(prefix string) func(timing.Kernel) bool {
		return func(k timing.Kernel) bool { return strings.HasPrefix(k.Node, prefix) }
	}
	before, last := -1, -1 // the last in front, and the piece's last
	for i, k := range kernels {
		switch {
		case is(front)(k):
			before = i
		case is(piece)(k):
			last = i
		}
	}
	for i, k := range kernels {
		if i > before && !is(behind)(k) && (i <= last || k.Op == "ReorderInput") {
			us += settled(k)
			n++
		}
		if is(piece)(k) && multiplies(k.Op) {
			multiply += settled(k)
		}
	}
	return us, multiply, n
}

// settled is what a kernel takes in the runs that count, and in those that go before them in a turn but for the first.
func settled(k timing.Kernel) float64 { return timing.Quiet(counted(k.Micros)) }

// counted are those of the numbers of all runs.
func counted(all []float64) (out []float64) {
	l := limits()
	for i, us := range all {
		if turn := i / (l.Settle + 1); turn >= l.WarmUps && i%(l.Settle+1) > 0 {
			out = append(out, us)
		}
	}
	return out
}

// sum is what kernels take together.
func sum(kernels []timing.Kernel) float64 {
	us := 0.0
	for _, k := range kernels {
		us += settled(k)
	}
	return us
}

// whole are the reference's kernels, and what a node takes beyond what the profile says of its kernel: what a run without a profile takes
// more than its kernels. Their sum is steadier than the time of a run, which others on the machine hardly ever leave alone.
func (m *measurer) whole(ctx context.Context) (kernels []timing.Kernel, beyond float64, err error) {
	load := func(o ort.Options) (*ort.Session, error) { return m.lib.NewSessionFile(m.ref.Path, o) }
	took, list, err := m.beside(ctx, load, m.ref.Inputs)
	if err == nil && len(list) > 0 {
		beyond = (took - timing.Quiet(counted(runs(list)))) / float64(len(list))
	}
	return list, beyond, err
}

// runs are what kernels take together in each of the runs that all of them are in.
func runs(kernels []timing.Kernel) []float64 {
	n := len(kernels[0].Micros)
	for _, k := range kernels {
		n = min(n, len(k.Micros))
	}
	out := make([]float64, n)
	for _, k := range kernels {
		for i := range out {
			out[i] += k.Micros[i]
		}
	}
	return out
}

// beside runs a model as it is and with a profile, by turns: the microseconds that it takes, and its kernels.
func (m *measurer) beside(ctx context.Context, load func(ort.Options) (*ort.Session, error), inputs map[string]tensor.Dense) (us float64, kernels []timing.Kernel, err error) {
	plain, err := load(ort.Options{Threads: m.threads})
	if err != nil {
		return 0, nil, err
	}
	defer plain.Close()
	profiled, err := load(m.profiled())
	if err != nil {
		return 0, nil, err
	}
	defer profiled.Close()
	l := limits()
	l.Most *= 4
	took, err := timing.Turns(ctx, l, timing.Runner(plain, inputs), timing.Runner(profiled, inputs))
	if err != nil {
		return 0, nil, err
	}
	kernels, err = timing.Profile(profiled)
	return 1e6 * timing.Quiet(took[0]), kernels, err
}
