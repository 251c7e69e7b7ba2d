from impl._pure import EmptyCall as EmptyCall
from impl._pure import PlainWords as PlainWords
from impl._pure import RunTracker as RunTracker
from impl._pure import ValidationBitmap as ValidationBitmap
