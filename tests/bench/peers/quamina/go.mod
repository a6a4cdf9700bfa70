module mangabus/bench/quamina

go 1.21

replace mangabus/bench/measure => ../measure
