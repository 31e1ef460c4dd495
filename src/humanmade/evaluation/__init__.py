"""What finished runs are worth: predicting, scoring, comparing, blending."""
