package samples

// through is a source beneath another that has the same samples: what it knows of them, the other does.
type through struct{ Source }

func (t through) accounted() string {
	if s, ok := t.Source.(interface{ accounted() string }); ok {
		return s.accounted()
	}
	return ""
}

func (t through) knownLabels() []int { return Labels(t.Source) }

func (t through) classNames() []string { return ClassNames(t.Source) }

func (t through) nextTokens() bool { return NextTokens(t.Source) }

func (t through) shapes(i int) (map[string][]int, bool) {
	if s, ok := t.Source.(shaped); ok {
		return s.shapes(i)
	}
	return nil, false
}
