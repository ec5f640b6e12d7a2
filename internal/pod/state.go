package pod

// State is what a pod is doing, in the words that users see.
type State string

// All states of a pod.
const (
	Embryo         State = "embryo"
	Preparing      State = "preparing"
	AbortedPrepare State = "aborted prepare"
	Prepared       State = "prepared"
	Running        State = "running"
	Exited         State = "exited"
	ExitedGarbage  State = "exited garbage"
	ExitedDeleting State = "exited deleting"
	Garbage        State = "garbage"
	Deleting       State = "deleting"
)

// stateOf is the whole meaning of place and lock.
func stateOf(at place, locked bool) State {
	type key struct {
		at     place
		locked bool
	}
	return map[key]State{
		{embryo, false}: Embryo, {embryo, true}: Embryo,
		{prepare, false}: AbortedPrepare, {prepare, true}: Preparing,
		{prepared, false}: Prepared, {prepared, true}: Prepared,
		{run, false}: Exited, {run, true}: Running,
		{exitedGarbage, false}: ExitedGarbage, {exitedGarbage, true}: ExitedDeleting,
		{garbage, false}: Garbage, {garbage, true}: Deleting,
	}[key{at, locked}]
}

// Finished tells whether a pod in this state will not run any more.
func (s State) Finished() bool {
	switch s {
	case AbortedPrepare, Exited, ExitedGarbage, ExitedDeleting, Garbage, Deleting:
		return true
	case Embryo, Preparing, Prepared, Running:
	}
	return false
}

// State returns what the pod is doing now. It fails with ErrGone if the pod
// was deleted since it was opened.
func (p *Pod) State() (State, error) {
	if err := p.locate(); err != nil {
		return "", err
	}
	for {
		before := p.at
		locked, err := p.locked()
		if err != nil {
			return "", err
		}
		// A lock seen here may be that of who moves the pod on.
		if err := p.locate(); err != nil {
			return "", err
		}
		if p.at == before {
			return stateOf(p.at, locked), nil
		}
	}
}
