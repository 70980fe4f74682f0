package tune

import (
	"context"
	"fmt"

	"github.com/onnx-compress/onnx-compress/internal/feed"
	"github.com/onnx-compress/onnx-compress/internal/ort"
	"github.com/onnx-compress/onnx-compress/samples"
	"github.com/onnx-compress/onnx-compress/tensor"
)

// judges are the held-out samples. Those that the start was fitted to are mirrored where images may be: on ResNet-20 at 0.3 of the MACs its loss was
// 0.048 on images that it was fitted to, 0.052 on their mirror images, and 0.052 and 0.054 on others and theirs.
func (t *trainer) judges() samples.Source {
	if t.o.Familiar && t.o.Augment != nil && t.o.Augment.Flip {
		return samples.Mirrored{Source: t.src, By: t.o.Augment}
	}
	return t.src
}

// each works on the runs of the held-out samples side by side; what work returns is called in the order of the runs.
func (t *trainer) each(ctx context.Context, work func(context.Context, *feed.Run) (func(), error)) error {
	feed, err := feed.New(t.judges(), t.held, t.inputs, t.shard, t.o.Threads)
	if err != nil {
		return err
	}
	return feed.Merge(ctx, t.beside, func(string, int, int) {}, work)
}

// rows are what belongs to sample k of a run, in an output whose axis 0 begins with the samples: one or several entries of
// that axis.
func rows(d tensor.Dense, r *feed.Run, k int) [][]float32 {
	if d.Shape[0] == 0 {
		return nil
	}
	v := d.Float32s()
	n, count := len(v)/d.Shape[0], d.Shape[0]/max(r.Batch, 1)
	out := make([][]float32, count)
	for i := range out {
		out[i] = v[(k*count+i)*n : (k*count+i+1)*n]
	}
	return out
}

// rows are those of sample k of a run that the term's loss takes one by one: of scores of next tokens a row for each position that is
// not padding, else as the function rows gives them.
func (t *term) rows(d tensor.Dense, r *feed.Run, k int) [][]float32 {
	whole := rows(d, r, k)
	if !t.spoken() || len(d.Shape) != 3 {
		return whole
	}
	var out [][]float32
	padding, n := t.text.Padding(r.Inputs, d.Shape[0], d.Shape[1]), d.Shape[1]
	for i, text := range whole {
		for at := range n {
			if padding == nil || !padding[(k*len(whole)+i)*n+at] {
				out = append(out, text[at*t.words:][:t.words])
			}
		}
	}
	return out
}

// spoken tells whether the term's loss is one of next tokens.
func (t *term) spoken() bool { return t.words > 0 && (t.loss == KL || t.loss == Logits) }

// shares are what each position of a run's texts counts in the loss, [texts, positions]: the mean over the texts of the mean over their
// positions that are not padding.
func (t *term) shares(r *feed.Run) tensor.Dense {
	texts, n := t.shape[0], t.shape[1]
	padding := t.text.Padding(r.Inputs, texts, n)
	v := make([]float32, texts*n)
	for k := range texts {
		count := 0
		for at := range n {
			if padding == nil || !padding[k*n+at] {
				v[k*n+at] = 1
				count++
			}
		}
		for at := range n {
			v[k*n+at] /= float32(max(count, 1) * texts)
		}
	}
	return tensor.FromFloat32([]int{texts, n}, v)
}

// verdict is what held-out samples say of a state.
type verdict struct {
	samples            int
	distance           float64 // weighed, over all outputs
	rows               int     // of class scores, or of the first output
	agree, cosines     float64
	entropy            float64 // −log softmax at the label
	labelled, accurate int
	each               []float64 // what each sample adds to the objective
}

func (v *verdict) add(o verdict) {
	v.samples += o.samples
	v.rows += o.rows
	v.distance += o.distance
	v.agree += o.agree
	v.cosines += o.cosines
	v.entropy += o.entropy
	v.labelled += o.labelled
	v.accurate += o.accurate
	v.each = append(v.each, o.each...)
}

// judge runs the model with the given parameters on the held-out samples.
func (t *trainer) judge(ctx context.Context, weights []float32) (verdict, error) {
	var total verdict
	m := t.params.into(t.compressed, weights)
	defer m.Close()
	var values []string
	for _, term := range t.terms[:t.outputs] {
		values = append(values, term.value)
	}
	s, err := sessionFor(t.host, m, values)
	if err != nil {
		return total, fmt.Errorf("the tuned model: %w", err)
	}
	defer s.Close()
	err = t.each(ctx, func(ctx context.Context, r *feed.Run) (func(), error) {
		part, err := t.judgeRun(ctx, s, values, r)
		return func() { total.add(part) }, err
	})
	return total, err
}

func (t *trainer) judgeRun(ctx context.Context, s *ort.Session, values []string, r *feed.Run) (verdict, error) {
	var v verdict
	answers, err := t.teacher.ask(ctx, r, true)
	if err != nil {
		return v, err
	}
	results, err := s.Run(ctx, r.Inputs, values)
	if err != nil {
		return v, fmt.Errorf("the tuned model on sample %s: %w", r.Samples[0].Name, err)
	}
	defer results.Close()
	own := make([]tensor.Dense, len(values))
	for i, value := range values {
		own[i] = t.teacher.lead(r, value, results.Get(i))
	}
	counts, _ := t.boxCounts(r, answers)
	for k, sample := range r.Samples {
		v.samples++
		before := v
		for i, term := range t.terms[:t.outputs] {
			y, z := t.countedRows(i, own[i], r, k, counts.of(k)), t.countedRows(i, answers[i], r, k, counts.of(k))
			if len(y) != len(z) {
				return v, fmt.Errorf("output %q on sample %s: the shape is %v, the original's %v", term.value, sample.Name, own[i].Shape, answers[i].Shape)
			}
			for n := range y {
				v.distance += term.weight * term.loss.distance(y[n], z[n], t.o.Temperature) / float64(len(y))
				if i == t.classes() {
					v.class(y[n], z[n], sample.Label, t.labels != nil && term.words == 0)
				}
				if i == 0 {
					v.cosines += cosine(y[n], z[n])
				}
			}
			if i == max(t.classes(), 0) {
				v.rows += len(y)
			}
		}
		v.each = append(v.each, t.objective(v.distance-before.distance, v.entropy-before.entropy))
	}
	return v, nil
}

// classes is the first output that is held to the original's as class scores, or scores of next tokens, -1 for none.
func (t *trainer) classes() int {
	for i, term := range t.terms[:t.outputs] {
		if term.classes+term.words > 0 && (term.loss == Logits || term.loss == KL) {
			return i
		}
	}
	return -1
}

// class compares the classes that two rows of scores name, with each other and with the label.
func (v *verdict) class(y, z []float32, label int, supervised bool) {
	own := tensor.ArgMax(y)
	if own >= 0 && own == tensor.ArgMax(z) {
		v.agree++
	}
	if supervised && label >= 0 && label < len(y) {
		v.labelled++
		v.entropy -= logSoftmax(y, 1)[label]
		if own == label {
			v.accurate++
		}
	}
}

// loss is the objective on the held-out samples.
func (t *trainer) loss(v verdict) float64 {
	return t.objective(v.distance/float64(max(v.samples, 1)), v.entropy/float64(max(v.labelled, 1)))
}

// objective is that of a distance from the original, and of a cross-entropy where there are labels.
func (t *trainer) objective(distance, entropy float64) float64 {
	if t.labels == nil {
		return distance
	}
	return entropy + t.labels.distill*distance
}

// surely tells whether what each sample adds to the objective has become less, by more than what differs by chance: the mean of
// the differences is more than its standard error.
func surely(before, after []float64) bool {
	n, sum, squares := float64(len(before)), 0., 0.
	for i := range before {
		d := before[i] - after[i]
		sum += d
		squares += d * d
	}
	mean := sum / n
	return mean > 0 && mean*mean > (squares/n-mean*mean)/max(n-1, 1)
}

// point is a verdict as a point of the curve.
func (t *trainer) point(v verdict) Point {
	p := Point{Step: t.step, Held: t.loss(v)}
	n := float64(max(v.rows, 1))
	if p.Agreement = v.cosines / n; t.classes() >= 0 {
		p.Agreement = v.agree / n
	}
	if v.labelled > 0 {
		share := float64(v.accurate) / float64(v.labelled)
		p.Accuracy = &share
	}
	return p
}
