package appc

// CPUShares returns the app's weight when processors are scarce, 2 to 262144.
func (is Isolators) CPUShares() (shares int, ok bool) { return is.lastInt(IsolatorCPUShares) }

// OOMScoreAdj returns what is added to the app's badness when memory is
// scarce, -1000 to 1000.
func (is Isolators) OOMScoreAdj() (adjust int, ok bool) { return is.lastInt(IsolatorOOMScoreAdj) }

// lastInt returns the value of the last isolator name, which is a number.
func (is Isolators) lastInt(name ACIdentifier) (n int, ok bool) {
	for _, i := range is {
		if i.Name == name {
			ok = i.decode(&n) == nil
		}
	}
	return n, ok
}
