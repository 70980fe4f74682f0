package main

import (
	"errors"
	"strings"

	"github.com/onnx-compress/onnx-compress/verify"
)

// judgeFlags say what a model's outputs are to those who judge by them, and how much each counts.
type judgeFlags struct {
	classes        string
	weights, kinds []string
}

func (j *judgeFlags) declare(f *flagSet) {
	f.StringVar(&j.classes, "classes", "", "`OUTPUT` the output whose numbers are class scores, or none (the first that looks like it: made by a linear layer or a softmax, not normalized)")
	f.StringArrayVar(&j.kinds, "kind", nil, "`OUTPUT=KIND` what an output is, where the run tells it wrong: "+strings.Join(each(verify.Kinds(), func(k verify.Kind) string { return string(k) }), ", ")+
		"; embeddings are judged by cosine and neighbours, scores by the top class, next and words by KL divergence, boxes by how many match where their layout is known, all else by its signal to noise ratio")
	f.StringArrayVar(&j.weights, "weight", nil, "`OUTPUT=X` how much the change of an output counts, as a share of its variance; 0 for not at all (1; 0 for a state, such as present.*)")
}

// read turns the words into weights and kinds of outputs.
func (j *judgeFlags) read() (weights map[string]float64, given map[string]verify.Kind, err error) {
	if weights, err = byOutput("weight", j.weights, outputWeight); err != nil {
		return nil, nil, err
	}
	given, err = byOutput("kind", j.kinds, outputKind)
	return weights, given, err
}

// byOutput reads what the words of a flag say of outputs, each once; nil for no words.
func byOutput[T any](flag string, words []string, read func(string) (string, T, error)) (map[string]T, error) {
	if len(words) == 0 {
		return nil, nil
	}
	out := map[string]T{}
	for _, word := range words {
		output, v, err := read(word)
		if err != nil {
			return nil, usagef("--%s %s: %w", flag, word, err)
		}
		if _, twice := out[output]; twice {
			return nil, usagef("--%s %s: output %q has a %s already", flag, word, output, flag)
		}
		out[output] = v
	}
	return out, nil
}

// outputKind reads OUTPUT=KIND.
func outputKind(word string) (output string, kind verify.Kind, err error) {
	output, name, both := cutLast(word)
	if !both {
		return "", "", errors.New("want OUTPUT=KIND, for example features=embedding")
	}
	kind, err = verify.ParseKind(name)
	return output, kind, err
}
