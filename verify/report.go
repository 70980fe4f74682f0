package verify

// Report says how far the outputs of two models lie apart, and on what data.
type Report struct {
	// Original and Compressed are the paths of the two models.
	Original   string `json:"original"`
	Compressed string `json:"compressed"`
	// Data describes the samples, Samples counts them.
	Data    string `json:"data"`
	Samples int    `json:"samples"`
	// Outputs has one entry per output of the model, in its order.
	Outputs []Output `json:"outputs"`
	// Classes judges the first output that looks like class scores; null where
	// none does.
	Classes *Classes `json:"classes"`
	// Moved lists the samples whose outputs moved most, the most moved first.
	Moved []Moved `json:"moved"`
}

// Output compares one output y of the original with its counterpart y'.
type Output struct {
	Name string `json:"name"`
	// Values is the number of elements compared.
	Values int64 `json:"values"`
	// MaxRelative is max|y' − y| / max|y| over all elements of all samples.
	MaxRelative float64 `json:"max_relative_error"`
	// MeanRelative is mean|y' − y| / √mean(y²), relative to the root mean square of
	// the original's output.
	MeanRelative float64 `json:"mean_relative_error"`
	// Cosine is the mean over the samples of the cosine of the angle between y and y'.
	Cosine float64 `json:"cosine"`
	// SNR is 10·log10(Σy² / Σ(y' − y)²) in dB; null where the outputs are equal.
	SNR *float64 `json:"snr_db"`
	// NonFiniteOriginal and NonFiniteCompressed count the samples with a NaN or an
	// infinity in that output. Such samples are left out of the numbers above.
	NonFiniteOriginal   int `json:"non_finite_original"`
	NonFiniteCompressed int `json:"non_finite_compressed"`
}

// Classes compares the classes with the largest score, of an output of shape
// [samples, classes].
type Classes struct {
	Output string `json:"output"`
	// Count is the number of classes.
	Count int `json:"count"`
	// Agreement is the share of samples for which both models name the same class.
	Agreement float64 `json:"agreement"`
	// Accuracy is null where the samples have no labels.
	Accuracy *Accuracy `json:"accuracy"`
}

// Accuracy is the share of labelled samples whose label has the largest score.
type Accuracy struct {
	// Labelled is the number of samples with a label.
	Labelled int     `json:"labelled"`
	Before   float64 `json:"before"`
	After    float64 `json:"after"`
	// PerClass has an entry for every label that occurs, in order.
	PerClass []ClassAccuracy `json:"per_class"`
}

// ClassAccuracy is the accuracy on the samples of one label.
type ClassAccuracy struct {
	Label   int     `json:"label"`
	Samples int     `json:"samples"`
	Before  float64 `json:"before"`
	After   float64 `json:"after"`
}

// Moved is one sample and how far its outputs moved.
type Moved struct {
	Name string `json:"name"`
	// Error is ‖y' − y‖ / ‖y‖ over all floating-point outputs of the sample; null
	// where it is not finite.
	Error *float64 `json:"error"`
	// Label is null where none is known, Before and After where no output looks
	// like class scores.
	Label  *int `json:"label"`
	Before *int `json:"before"`
	After  *int `json:"after"`
}
