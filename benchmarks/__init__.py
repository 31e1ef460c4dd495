"""Speed beside what people use instead: public tools on one side, this package on the other."""
