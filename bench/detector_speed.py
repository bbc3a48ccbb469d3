from msgspec import Struct
class Speed(Struct):
    seconds: float
    rounds: int
def speed(size, rules): return {}
