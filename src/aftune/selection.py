def rft_positives(group, max_positives):
    top = [i for i, q in enumerate(group.qualities) if q > 0 and q == max(group.qualities)]
    return top[:max_positives]
