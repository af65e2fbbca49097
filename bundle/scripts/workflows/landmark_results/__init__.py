"""Results of landmark predictions: tables, scores, bins of uncertainty, pictures, report."""
