"""The one call that the adapter uses of numpy."""


class ctypeslib:
    @staticmethod
    def as_array(values, shape):
        return values
