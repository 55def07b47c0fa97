"""Objects and physics that the learned reconstruction is trained on: drawn, photographed or cut from digital knees."""
