module comet

go 1.19
