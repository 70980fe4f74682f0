package compress

// Verdict sums a result up for people, in sentences that all that is written of a run have in common; package report makes it.
type Verdict struct {
	// Gained says what became smaller or faster, by the numbers of the result, and Cost what that costs, by those of its
	// Verification's Judged.
	Gained string `json:"gained"`
	Cost   string `json:"cost"`
	// Next is what to try, the most useful first.
	Next []NextStep `json:"next"`
}

// NextStep is something to try.
type NextStep struct {
	Why string `json:"why"`
	// Command is a command line, with words in capitals for what is not known.
	Command string `json:"command"`
}

// Asked is how a command was asked for a run, in words that a shell takes: what the steps of a Verdict are made of.
type Asked struct {
	// Model is the source's path, and Samples that of the samples, empty for none, with the flags that say how these are labelled and
	// prepared; Prepared are the latter, which hold for others like them.
	Model, Samples, Prepared string
	// Inputs are flags about the model itself: its outputs, and what reads them.
	Inputs string
	// Sizes are flags with the sizes of its inputs that it leaves open.
	Sizes string
}
