package samples

import "github.com/onnx-compress/onnx-compress/tensor"

// Labels returns the labels of a source's samples where it knows them before it reads any, -1 for a sample without one; nil
// where it has none, or reads them with the samples.
func Labels(src Source) []int {
	if l, ok := src.(interface{ knownLabels() []int }); ok {
		return l.knownLabels()
	}
	return nil
}

// ClassNames returns the names of the classes, sorted, where a source's labels are places among these; nil where they are numbers
// from the start.
func ClassNames(src Source) []string {
	if l, ok := src.(interface{ classNames() []string }); ok {
		return l.classNames()
	}
	return nil
}

// NextTokens tells whether each token of a source's texts is the label of the one before it.
func NextTokens(src Source) bool {
	l, ok := src.(interface{ nextTokens() bool })
	return ok && l.nextTokens()
}

func (s *arrays) nextTokens() bool { return s.opts.Labels == NextToken }

func (s *images) classNames() []string { return s.classes }

func (s *arrays) knownLabels() []int { return s.labels }

func (s *images) knownLabels() []int { return s.labels }

// Only is a source whose samples have what certain inputs want and nothing else: for a model that is a part of the one that the source is for. Nil
// stays nil.
func Only(src Source, inputs []InputSpec) Source {
	if src == nil {
		return nil
	}
	return &only{src, inputs}
}

type only struct {
	Source
	inputs []InputSpec
}

func (o *only) Sample(i int) (Sample, error) {
	s, err := o.Source.Sample(i)
	if err != nil {
		return s, err
	}
	whole := s.Inputs
	s.Inputs = map[string]tensor.Dense{}
	for _, in := range o.inputs {
		if t, ok := whole[in.Name]; ok {
			s.Inputs[in.Name] = t
		}
	}
	return s, nil
}
