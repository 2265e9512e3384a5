mod conventions;
mod round_trip;
