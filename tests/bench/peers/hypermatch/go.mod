module mangabus/bench/hypermatch

go 1.21

replace mangabus/bench/measure => ../measure
