package samples

// Labels returns the labels of a source's samples where it knows them before it reads any, -1 for a sample without one; nil
// where it has none, or reads them with the samples.
func Labels(src Source) []int {
	if l, ok := src.(interface{ knownLabels() []int }); ok {
		return l.knownLabels()
	}
	return nil
}

func (s *arrays) knownLabels() []int { return s.labels }

func (s *images) knownLabels() []int { return s.labels }
