module mangabus/bench/measure

go 1.21
