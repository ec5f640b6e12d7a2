package appc

import "errors"

// Quantity is an amount of something, such as bytes or cores, as people write
// it: "16Mi", "1G", "500m".
type Quantity struct {
	text  string
	value int64
	milli int64
}

// ParseQuantity reads a quantity: a decimal number and one of the suffixes m,
// k, M, G, T, P, E (powers of 1000), Ki, Mi, Gi, Ti, Pi, Ei (powers of 1024),
// or a decimal exponent such as e3. Negative amounts are refused.
func ParseQuantity(s string) (Quantity, error) {
	return Quantity{}, errors.ErrUnsupported
}

// String returns the quantity as it was written.
func (q Quantity) String() string { return q.text }

// Value returns the amount in whole units, rounded up.
func (q Quantity) Value() int64 { return q.value }

// MilliValue returns the amount in thousandths, rounded up.
func (q Quantity) MilliValue() int64 { return q.milli }
