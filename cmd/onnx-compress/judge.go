package main

// judgeFlags say what a model's outputs are to those who judge by them, and how much each counts.
type judgeFlags struct {
	classes string
	words   []string
}

func (j *judgeFlags) declare(f *flagSet) {
	f.StringVar(&j.classes, "classes", "", "`OUTPUT` the output whose numbers are class scores, or none (the first that looks like it: made by a linear layer or a softmax, not normalized)")
	f.StringArrayVar(&j.words, "weight", nil, "`OUTPUT=X` how much the change of an output counts, as a share of its variance; 0 for not at all (1; 0 for a cache's present.*)")
}

// read turns the words into weights of outputs.
func (j *judgeFlags) read() (map[string]float64, error) {
	if len(j.words) == 0 {
		return nil, nil
	}
	weights := map[string]float64{}
	for _, word := range j.words {
		output, v, err := outputWeight(word)
		if err != nil {
			return nil, usagef("--weight %s: %w", word, err)
		}
		if _, twice := weights[output]; twice {
			return nil, usagef("--weight %s: output %q has a weight already", word, output)
		}
		weights[output] = v
	}
	return weights, nil
}
